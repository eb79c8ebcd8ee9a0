"""Qwen3-VL on text (transformers 5.23 models/qwen3_vl): Qwen3's layers, positions of three grids."""

from planner.memory import head
from planner.memory.graph import Value
from planner.memory.layers import llama, qwen3
from planner.memory.modules import Context

layer = qwen3.layer
loss = llama.loss


def embed(c: Context) -> Value:
    """Qwen3VLTextModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    head.causal_mask(c)
    head.cos_and_sin(c, batched=True)
    return embeddings
