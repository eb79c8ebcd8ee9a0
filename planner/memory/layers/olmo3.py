"""OLMo 3 (transformers 5.23 models/olmo3): OLMo 2's layer, with windows and rotary tables for each kind of layer."""

from planner.memory import head, masks
from planner.memory.graph import Value
from planner.memory.layers import olmo2
from planner.memory.modules import Context

layer = olmo2.layer
loss = olmo2.loss


def embed(c: Context) -> Value:
    """Olmo3Model.forward up to the layers."""
    embeddings = head.token_embedding(c)
    c.model_locals.append(embeddings)
    masks.full_and_sliding_masks(c, always=True)
    masks.tables_by_kind(c, "float32")
    return embeddings
