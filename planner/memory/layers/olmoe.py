"""OLMoE (transformers 5.23 models/olmoe): Qwen3's experts, norms over whole queries and keys, optional clamping."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama, qwen3_moe
from planner.memory.layers.olmo import clip
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, pre_norm_layer
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rms_norm, rotary

embed = llama.embed
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """OlmoeDecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, attention, qwen3_moe.sparse_moe_block)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """OlmoeAttention.forward."""
    query_states = normed(c, hidden_states, "q", QUERIES)
    key_states = normed(c, hidden_states, "k", KEYS)
    value_states = linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN)
    query_states = clip(c, query_states)
    key_states = clip(c, key_states)
    value_states = clip(c, value_states)
    query_states, key_states = llama.heads(c, query_states, QUERIES), llama.heads(c, key_states, KEYS)
    value_states = llama.heads(c, value_states, KEYS)
    query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def normed(c: Context, hidden_states: Value, which: str, width: Shape) -> Value:
    """``q_norm(q_proj(x))``: the projection lives until the norm returns."""
    projected = linear(c, hidden_states, f"self_attn.{which}_proj", width, HIDDEN)
    return rms_norm(c, projected, f"self_attn.{which}_norm", width)
