"""GLM-4.5 (transformers 5.23 models/glm4_moe): a part of each head rotated, DeepSeek-V3's experts."""

from planner.memory import moe_routers, ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import deepseek_v3, glm, llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, pre_norm_layer
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rms_norm

embed = llama.embed
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Glm4MoeDecoderLayer.forward: the first layers have a plain MLP."""
    mlp = moe if c.structure.block.moe else llama.mlp
    return pre_norm_layer(c, hidden_states, attention, mlp)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Glm4MoeAttention.forward."""
    query_states = projected(c, hidden_states, "q", QUERIES)
    key_states = projected(c, hidden_states, "k", KEYS)
    value_states = projected(c, hidden_states, "v", KEYS)
    if c.structure.block.qk_norm != "none":
        query_states = rms_norm(c, query_states, "self_attn.q_norm", ("head_dim",))
        key_states = rms_norm(c, key_states, "self_attn.k_norm", ("head_dim",))
    query_states, key_states = llama.heads(c, query_states, QUERIES), llama.heads(c, key_states, KEYS)
    value_states = llama.heads(c, value_states, KEYS)
    query_states, key_states = glm.rotate_parts(c, query_states, key_states, c.cos, c.cos)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def projected(c: Context, hidden_states: Value, which: str, split: Shape) -> Value:
    """``q_proj(x).view(hidden_shape)``."""
    return ops.view(c.tape, linear(c, hidden_states, f"self_attn.{which}_proj", split, HIDDEN), ("B", "S", *split))


def moe(c: Context, hidden_states: Value) -> Value:
    """Glm4MoeMoE.forward: the bias of the router stays in float32."""
    return deepseek_v3.routed_and_shared(c, hidden_states, moe_routers.sigmoid_router(c, hidden_states, "float32"))
