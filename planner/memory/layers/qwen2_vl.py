"""Qwen2-VL and Qwen2.5-VL on text (transformers 5.23 models/qwen2_vl): Qwen2's layers, positions of three grids.

The rotary tables are made from position ids of shape [3, B, S] and so have one row a sequence.
"""

from planner.memory import head, masks
from planner.memory.graph import Value
from planner.memory.layers import llama
from planner.memory.modules import Context

layer = llama.layer
loss = llama.loss


def embed(c: Context) -> Value:
    """Qwen2VLTextModel.forward up to the layers."""
    embeddings = head.token_embedding(c)
    # the layers get no position ids: without a grid of text positions text_position_ids is None
    c.model_locals += [embeddings, c.tape.allocate(("S",), "int64", "position ids")]
    masks.full_and_sliding_masks(c)
    head.cos_and_sin(c, batched=True)
    return embeddings
