"""Llama 3.2 Vision on text (transformers 5.23 models/mllama): Llama's layers, less those that attend to images."""

from planner.memory import head
from planner.memory.graph import Value
from planner.memory.layers import llama
from planner.memory.modules import Context

layer = llama.layer
loss = llama.loss


def embed(c: Context) -> Value:
    """MllamaTextModel.forward up to the layers: the embedding has rows that the head has not."""
    embeddings = head.token_embedding(c, rows="embed_rows")
    c.model_locals.append(embeddings)
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    head.causal_mask(c)
    head.cos_and_sin(c)
    return embeddings
