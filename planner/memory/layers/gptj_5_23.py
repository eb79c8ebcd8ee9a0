"""GPT-J as it was up to transformers 5.23 (models/gptj): eager attention alone, tables of rotation in each layer."""

from planner.memory import head, ops
from planner.memory.attention_modules import (
    add_mask,
    holds_returned_weights,
    joined,
    keep_returned_weights,
    matmul,
    merge_heads,
    narrowed,
    returned_weights,
    softmax,
    split_heads,
    transposed,
)
from planner.memory.graph import Value
from planner.memory.layernorm_modules import (
    HIDDEN,
    WIDE,
    activation,
    dropout,
    layer_norm,
    norm_and_loss,
    residual_dropout,
)
from planner.memory.layers.gpt_neo import HEADS, SCORES, TOKENS, value_dtype
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, rotate_half

BY_TOKEN: Shape = ("B", "S", "heads", "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """GPTJBlock.forward."""
    t = c.tape
    given = hidden_states = holds_returned_weights(c, hidden_states, SCORES, value_dtype(c, "attn.v_proj"))
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_1")
    attn_outputs, attn_weights = attention(c, hidden_states)
    feed_forward_hidden_states = mlp(c, hidden_states)
    hidden_states = ops.add(t, ops.add(t, attn_outputs, feed_forward_hidden_states), residual, "hidden states")
    keep_returned_weights(c, given, attn_weights)
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value]:
    """GPTJAttention.forward: the rotation is of [B, S, heads, rotary_dim], keys first."""
    t = c.tape
    query = ops.view(t, linear(c, hidden_states, "attn.q_proj", HIDDEN, HIDDEN), BY_TOKEN)
    key = ops.view(t, linear(c, hidden_states, "attn.k_proj", HIDDEN, HIDDEN), BY_TOKEN)
    value = split_heads(c, linear(c, hidden_states, "attn.v_proj", HIDDEN, HIDDEN), HEADS)
    embed_positions = t.allocate(("max_length", "rotary_dim"), "float32", "table of rotation")
    repeated_position_ids = t.allocate(("S", "rotary_dim"), "int64", "position ids")
    sincos = ops.to(t, t.allocate(("S", "rotary_dim"), "float32", "sin and cos"), key.dtype)
    k_rot, k_pass = narrowed(c, key)
    q_rot, q_pass = narrowed(c, query)
    k_rot = apply_rotary_pos_emb(c, k_rot, sincos.dtype)
    q_rot = apply_rotary_pos_emb(c, q_rot, sincos.dtype)
    key, query = joined(c, k_rot, k_pass, BY_TOKEN), joined(c, q_rot, q_pass, BY_TOKEN)
    key, query = split_heads(c, key, HEADS), split_heads(c, query, HEADS)
    attn_output, attn_weights = attend(c, query, key, value)
    attn_output = ops.view(t, merge_heads(t, attn_output), TOKENS)
    attn_output = linear(c, attn_output, "attn.out_proj", HIDDEN, HIDDEN)
    del embed_positions, repeated_position_ids, sincos
    attn_output = residual_dropout(c, attn_output)
    return attn_output, attn_weights


def apply_rotary_pos_emb(c: Context, x: Value, dtype: str) -> Value:
    """``x * cos + rotate_every_two(x) * sin``, with sin and cos repeated for each call; dtype: of the two."""
    t = c.tape
    sin = t.allocate(("S", 1, "rotary_dim"), dtype, "sin")
    cos = t.allocate(("S", 1, "rotary_dim"), dtype, "cos")
    return ops.add(t, ops.mul(t, x, cos, "x*cos"), ops.mul(t, rotate_half(t, x), sin, "rotated*sin"), "rotated")


def attend(c: Context, query: Value, key: Value, value: Value) -> tuple[Value, Value]:
    """GPTJAttention._attn: queries and keys in float32."""
    t = c.tape
    query, key = ops.to(t, query, "float32"), ops.to(t, key, "float32")
    attn_weights = matmul(c, query, transposed(t, key), SCORES, "scores")
    attn_weights = ops.scale(t, attn_weights, "scaled scores")
    attn_weights = add_mask(t, attn_weights, c.hidden_dtype)
    attn_weights = softmax(c, attn_weights, None)
    attn_weights = ops.to(t, attn_weights, value.dtype, "attention weights")
    attn_weights = returned_weights(c, dropout(c, attn_weights, c.structure.block.attention_dropout))
    attn_output = matmul(c, attn_weights, value, HEADS, "attention output")
    return attn_output, attn_weights


def mlp(c: Context, hidden_states: Value) -> Value:
    """GPTJMLP.forward."""
    hidden_states = linear(c, hidden_states, "mlp.fc_in", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = linear(c, hidden_states, "mlp.fc_out", HIDDEN, WIDE)
    hidden_states = residual_dropout(c, hidden_states)
    return hidden_states


def embed(c: Context) -> Value:
    """GPTJModel.forward up to the layers."""
    inputs_embeds = head.token_embedding(c)
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    head.causal_mask(c)
    c.model_locals.append(inputs_embeds)
    return dropout(c, inputs_embeds, c.structure.embedding_dropout)


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "ln_f")
