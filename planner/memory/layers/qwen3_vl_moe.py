"""Qwen3-VL with experts on text (transformers 5.23 models/qwen3_vl_moe): Qwen3-MoE's layers, Qwen3-VL's positions."""

from planner.memory import moe_modules
from planner.memory.graph import Value
from planner.memory.layers import llama, qwen3, qwen3_vl
from planner.memory.layers.parts import pre_norm_layer
from planner.memory.modules import Context

embed = qwen3_vl.embed
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Qwen3VLMoeTextDecoderLayer.forward."""
    mlp = sparse_moe_block if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, qwen3.attention, mlp)


def sparse_moe_block(c: Context, hidden_states: Value) -> Value:
    """Qwen3VLMoeTextSparseMoeBlock.forward: the weights of the chosen experts always add up to one."""
    router_logits, routing_weights, selected_experts = moe_modules.router(c, hidden_states, norm=True, keep_dtype=True)
    return moe_modules.experts(c, hidden_states, selected_experts, routing_weights)
