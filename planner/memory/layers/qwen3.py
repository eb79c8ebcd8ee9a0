"""Qwen3 (transformers 5.23 models/qwen3): Llama's layer with norms over head_dim on queries and keys."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, embed_with_layer_types, pre_norm_layer
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rms_norm, rotary

embed = embed_with_layer_types
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Qwen3DecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, attention, llama.mlp)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Qwen3Attention.forward."""
    query_states = normed_heads(c, hidden_states, "q", QUERIES)
    key_states = normed_heads(c, hidden_states, "k", KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN), KEYS)
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def normed_heads(c: Context, hidden_states: Value, which: str, split: Shape) -> Value:
    """``q_norm(q_proj(x).view(hidden_shape)).transpose(1, 2)``: the projection lives until the norm returns."""
    projected = linear(c, hidden_states, f"self_attn.{which}_proj", split, HIDDEN)
    projected = ops.view(c.tape, projected, ("B", "S", *split))
    normed = rms_norm(c, projected, f"self_attn.{which}_norm", ("head_dim",))
    return ops.view(c.tape, normed, ("B", split[0], "S", split[1]), contiguous=False)
