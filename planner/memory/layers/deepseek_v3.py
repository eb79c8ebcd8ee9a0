"""DeepSeek-V3 (transformers 5.23 models/deepseek_v3): multi-head latent attention, experts chosen by groups."""

from planner.memory import latent_modules, moe_modules, moe_routers, ops
from planner.memory.graph import Value
from planner.memory.latent_modules import ROPE
from planner.memory.layers import llama
from planner.memory.layers.parts import pre_norm_layer
from planner.memory.modules import Context

embed = llama.embed
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """DeepseekV3DecoderLayer.forward: the first layers have a plain MLP."""
    mlp = moe if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, attention, mlp)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """DeepseekV3Attention.forward."""
    return latent_modules.attention(c, hidden_states, apply_rotary_pos_emb_interleave)


def apply_rotary_pos_emb_interleave(c: Context, q: Value, k: Value) -> tuple[Value, Value]:
    """Pairs of neighbours, rotated as even and odd slices."""
    half = (*q.shape[:-1], "half_rotary_dim"), (*k.shape[:-1], "half_rotary_dim")
    t = c.tape
    q1, q2 = ops.narrow(t, q, half[0]), ops.narrow(t, q, half[0])
    k1, k2 = ops.narrow(t, k, half[1]), ops.narrow(t, k, half[1])
    return rotated_halves(c, q1, q2), rotated_halves(c, k1, k2)


def rotated_halves(c: Context, x1: Value, x2: Value) -> Value:
    """``cat([x1 * cos - x2 * sin, x2 * cos + x1 * sin])``."""
    t = c.tape
    cos = t.external((1, "S", "half_rotary_dim"), c.hidden_dtype)
    first = ops.subtract(t, ops.mul(t, x1, cos, "x1*cos"), ops.mul(t, x2, cos, "x2*sin"), "rotated")
    second = ops.add(t, ops.mul(t, x2, cos, "x2*cos"), ops.mul(t, x1, cos, "x1*sin"), "rotated")
    return ops.cat(t, [first, second], (*x1.shape[:-1], ROPE))


def moe(c: Context, hidden_states: Value) -> Value:
    """DeepseekV3MoE.forward."""
    return routed_and_shared(c, hidden_states, moe_routers.sigmoid_router(c, hidden_states, c.structure.dtype))


def routed_and_shared(c: Context, hidden_states: Value, routed: tuple[Value, Value, Value]) -> Value:
    """What follows the router: the chosen experts, then those that every token takes."""
    residuals = hidden_states
    _, topk_weights, topk_indices = routed
    hidden_states = moe_modules.experts(c, hidden_states, topk_indices, topk_weights)
    shared = llama.gated_mlp(c, residuals, "mlp.shared_experts", ("shared_intermediate",))
    hidden_states = ops.add(c.tape, hidden_states, shared, "experts' output")
    return hidden_states
