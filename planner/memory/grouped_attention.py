"""Attention of Llama's kind: grouped keys, by the implementation that transformers picks (transformers 5.23)."""

from planner.memory import modules, ops
from planner.memory.attention_modules import sdpa_attention
from planner.memory.graph import Value
from planner.memory.layernorm_modules import dropout
from planner.memory.live import Shape
from planner.memory.modules import Context


def attend(
    c: Context,
    query: Value,
    key: Value,
    value: Value,
    grouped: bool,
    softmax_dtype: str = "float32",
    softcap: bool = False,
) -> tuple[Value, Value | None]:
    """The attention function transformers picks by attn_implementation: output [B, S, heads, head_dim], weights."""
    if c.structure.attention == "eager":
        return eager_attention(c, query, key, value, grouped, softmax_dtype, softcap)
    return sdpa_attention(c, query, key, value), None


def eager_attention(
    c: Context, query: Value, key: Value, value: Value, grouped: bool, softmax_dtype: str, softcap: bool
) -> tuple[Value, Value]:
    """eager_attention_forward: S x S scores, mask, softmax in float32 and its 16-bit copy, dropout, for each head."""
    t = c.tape
    scores: Shape = (*query.shape[:3], "S")
    key_states = modules.repeat_kv(c, key, query.shape) if grouped else key
    value_states = modules.repeat_kv(c, value, query.shape) if grouped else value
    attn_weights = ops.scale(t, modules.batched_matmul(c, query, key_states, scores, "scores"), "scaled scores")
    if softcap:
        attn_weights = modules.softcapped(t, attn_weights, "scores")
    attn_weights = ops.add_constant(t, attn_weights, "masked scores", c.hidden_dtype)
    attn_weights = ops.to(t, ops.softmax(t, attn_weights, softmax_dtype), query.dtype, "attention weights")
    attn_weights = dropout(c, attn_weights, c.structure.block.attention_dropout)
    attn_output = modules.batched_matmul(
        c, attn_weights, value_states, (*query.shape[:3], *value.shape[3:]), "attention output"
    )
    attn_output = ops.copy(t, attn_output, ("B", "S", *query.shape[1:2], *value.shape[3:]), "attention output")
    return attn_output, attn_weights
