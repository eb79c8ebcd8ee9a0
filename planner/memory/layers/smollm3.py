"""SmolLM3 (transformers 5.23 models/smollm3): Llama's layer; each fourth one has no rotary positions."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, embed_with_layer_types, pre_norm_layer
from planner.memory.modules import Context, linear, rotary

embed = embed_with_layer_types
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """SmolLM3DecoderLayer.forward."""
    return pre_norm_layer(c, hidden_states, attention, llama.mlp)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """SmolLM3Attention.forward."""
    query_states = llama.heads(c, linear(c, hidden_states, "self_attn.q_proj", QUERIES, HIDDEN), QUERIES)
    key_states = llama.heads(c, linear(c, hidden_states, "self_attn.k_proj", KEYS, HIDDEN), KEYS)
    value_states = llama.heads(c, linear(c, hidden_states, "self_attn.v_proj", KEYS, HIDDEN), KEYS)
    if c.structure.block.position == "rope":
        query_states, key_states = rotary(c, query_states), rotary(c, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights
