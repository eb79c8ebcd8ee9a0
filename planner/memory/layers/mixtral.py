"""Mixtral (transformers 5.23 models/mixtral): Llama's layer with a mixture of experts."""

from planner.memory import moe_modules
from planner.memory.graph import Value
from planner.memory.layers import llama
from planner.memory.layers.parts import embed_with_one_mask, pre_norm_layer
from planner.memory.modules import Context

embed = embed_with_one_mask
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """MixtralDecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, llama.attention, sparse_moe_block)


def sparse_moe_block(c: Context, hidden_states: Value) -> Value:
    """MixtralSparseMoeBlock.forward."""
    router_logits, top_k_weights, top_k_index = moe_modules.router(c, hidden_states, norm=True, keep_dtype=False)
    return moe_modules.experts(c, hidden_states, top_k_index, top_k_weights)
