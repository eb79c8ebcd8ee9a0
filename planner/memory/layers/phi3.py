"""Phi-3 (transformers 5.23 models/phi3): Llama's layer with q, k and v, gate and up in one linear each."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.grouped_attention import attend
from planner.memory.layers import llama
from planner.memory.layers.parts import HIDDEN, KEYS, QUERIES, WIDE, embed_with_one_mask
from planner.memory.linear_ops import dropout
from planner.memory.modules import Context, linear, rms_norm, rotary

embed = embed_with_one_mask
loss = llama.loss


def layer(c: Context, hidden_states: Value) -> Value:
    """Phi3DecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "input_layernorm")
    hidden_states, self_attn_weights = attention(c, hidden_states)
    hidden_states = ops.add(t, residual, residual_dropout(c, hidden_states), "hidden states")
    residual = hidden_states
    hidden_states = rms_norm(c, hidden_states, "post_attention_layernorm")
    hidden_states = mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, residual_dropout(c, hidden_states), "hidden states")
    return hidden_states


def residual_dropout(c: Context, x: Value) -> Value:
    """nn.Dropout(resid_pdrop): the tensor itself where the probability is zero."""
    return dropout(c.tape, x, c.structure.device) if c.structure.block.residual_dropout else x


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """Phi3Attention.forward: slices of one projection, which keep the whole of it."""
    t = c.tape
    qkv = linear(c, hidden_states, "self_attn.qkv_proj", ("qkv_width",), HIDDEN)
    query_states = ops.narrow(t, qkv, ("B", "S", *QUERIES))
    key_states = ops.narrow(t, qkv, ("B", "S", *KEYS))
    value_states = ops.narrow(t, qkv, ("B", "S", *KEYS))
    query_states = llama.heads(c, query_states, QUERIES)
    key_states = llama.heads(c, key_states, KEYS)
    value_states = llama.heads(c, value_states, KEYS)
    query_states, key_states = apply_rotary_pos_emb(c, query_states, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, c.structure.block.grouped)
    attn_output = ops.view(t, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.o_proj", HIDDEN, QUERIES)
    return attn_output, attn_weights


def apply_rotary_pos_emb(c: Context, q: Value, k: Value) -> tuple[Value, Value]:
    """The first rotary_dim of each head is rotated, the rest passed on, and both joined in a new tensor."""
    q_rot, q_pass = rotated_part(c, q), ops.narrow(c.tape, q, (*q.shape[:-1], "rest_dim"))
    k_rot, k_pass = rotated_part(c, k), ops.narrow(c.tape, k, (*k.shape[:-1], "rest_dim"))
    q_embed = ops.cat(c.tape, [rotary(c, q_rot), q_pass], q.shape)
    k_embed = ops.cat(c.tape, [rotary(c, k_rot), k_pass], k.shape)
    return q_embed, k_embed


def rotated_part(c: Context, x: Value) -> Value:
    """``x[..., :rotary_dim]``: an alias where that is all of it."""
    if c.structure.block.partial_rotary:
        return ops.narrow(c.tape, x, (*x.shape[:-1], "rotary_dim"))
    return ops.view(c.tape, x, x.shape, contiguous=x.contiguous)


def mlp(c: Context, hidden_states: Value) -> Value:
    """Phi3MLP.forward."""
    t = c.tape
    up_states = linear(c, hidden_states, "mlp.gate_up_proj", (2, *WIDE), HIDDEN)
    half = ("B", "S", *WIDE)
    gate, up_states = ops.split(t, up_states, [half, half])
    up_states = ops.mul(t, up_states, ops.unary(t, gate, "activation_fn"), "act*up")
    up_states.contiguous = True  # a new tensor, laid out densely, of halves that are not
    return linear(c, up_states, "mlp.down_proj", HIDDEN, WIDE)
