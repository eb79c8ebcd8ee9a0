"""StableLM (transformers 5.23 models/stablelm): LayerNorm, rotary on a part of each head, Llama's MLP."""

from planner.memory import ops
from planner.memory.attention_modules import attend, joined, narrowed
from planner.memory.graph import Value
from planner.memory.layernorm_modules import HIDDEN, layer_norm, norm_and_loss, norm_per_head, residual_dropout
from planner.memory.layers import llama
from planner.memory.layers.parts import KEYS, QUERIES
from planner.memory.layers.starcoder2 import projected
from planner.memory.modules import Context, linear, rotary

embed = llama.embed


def layer(c: Context, hidden_states: Value) -> Value:
    """StableLmDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "input_layernorm")
    self_attn_output, _ = attention(c, hidden_states)
    if c.structure.block.parallel:
        mlp_output = residual_dropout(c, llama.mlp(c, hidden_states))
        hidden_states = ops.add(t, ops.add(t, residual, self_attn_output), mlp_output, "hidden states")
    else:
        residual = ops.add(t, residual, self_attn_output, "hidden states")
        mlp_output = residual_dropout(c, normalized_mlp(c, residual))
        hidden_states = ops.add(t, residual, mlp_output, "hidden states")
    return hidden_states


def normalized_mlp(c: Context, residual: Value) -> Value:
    """``mlp(post_attention_layernorm(residual))``: the call holds its argument."""
    normalized = layer_norm(c, residual, "post_attention_layernorm")
    return llama.mlp(c, normalized)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """StableLmAttention.forward."""
    query_states = projected(c, hidden_states, "q_proj", QUERIES)
    key_states = projected(c, hidden_states, "k_proj", KEYS)
    value_states = projected(c, hidden_states, "v_proj", KEYS)
    if c.structure.block.qk_norm != "none":
        query_states = norm_per_head(c, query_states, "self_attn.q_layernorm")
        key_states = norm_per_head(c, key_states, "self_attn.k_layernorm")
    query_rot, query_pass = narrowed(c, query_states)
    key_rot, key_pass = narrowed(c, key_states)
    query_rot, key_rot = rotary(c, query_rot), rotary(c, key_rot)
    query_states = joined(c, query_rot, query_pass, query_states.shape)
    key_states = joined(c, key_rot, key_pass, key_states.shape)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "norm")
