"""Qwen3 with experts (transformers 5.23 models/qwen3_moe): Qwen3's attention; some layers may have a plain MLP."""

from planner.memory import moe_modules
from planner.memory.graph import Value
from planner.memory.layers import llama, qwen3
from planner.memory.layers.parts import embed_with_one_mask, pre_norm_layer
from planner.memory.modules import Context

embed = embed_with_one_mask
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Qwen3MoeDecoderLayer.forward."""
    mlp = sparse_moe_block if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, qwen3.attention, mlp)


def sparse_moe_block(c: Context, hidden_states: Value) -> Value:
    """Qwen3MoeSparseMoeBlock.forward."""
    norm = c.structure.block.norm_top_k
    router_logits, routing_weights, selected_experts = moe_modules.router(c, hidden_states, norm, keep_dtype=True)
    return moe_modules.experts(c, hidden_states, selected_experts, routing_weights)
