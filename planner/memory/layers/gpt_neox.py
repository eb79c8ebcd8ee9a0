"""GPT-NeoX (transformers 5.23 models/gpt_neox): one projection for q, k and v, rotary on a part of each head."""

from planner.memory import head, ops
from planner.memory.attention_modules import attend, partly_rotated, split_heads
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
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

HEADS: Shape = ("B", "heads", "S", "head_dim")
FUSED: Shape = ("B", "heads", "S", 3, "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """GPTNeoXLayer.forward."""
    normalized = layer_norm(c, hidden_states, "input_layernorm")
    attn_output, _ = attention(c, normalized)
    del normalized
    attn_output = residual_dropout(c, attn_output)
    if c.structure.block.parallel:
        mlp_output = normalized_mlp(c, hidden_states)
        hidden_states = ops.add(c.tape, ops.add(c.tape, mlp_output, attn_output), hidden_states, "hidden states")
    else:
        attn_output = ops.add(c.tape, attn_output, hidden_states)
        mlp_output = normalized_mlp(c, attn_output)
        hidden_states = ops.add(c.tape, mlp_output, attn_output, "hidden states")
    return hidden_states


def normalized_mlp(c: Context, hidden_states: Value) -> Value:
    """``post_mlp_dropout(mlp(post_attention_layernorm(hidden_states)))``: the call holds its argument."""
    normalized = layer_norm(c, hidden_states, "post_attention_layernorm")
    mlp_output = mlp(c, normalized)
    del normalized
    return residual_dropout(c, mlp_output)


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """GPTNeoXAttention.forward."""
    t = c.tape
    qkv = split_heads(c, linear(c, hidden_states, "attention.query_key_value", (3, *HIDDEN), HIDDEN), FUSED)
    query_states, key_states, value_states = ops.split(t, qkv, [HEADS] * 3)
    query_states, key_states = partly_rotated(c, query_states, key_states)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states)
    attn_output = ops.view(t, attn_output, ("B", "S", "hidden"))
    attn_output = linear(c, attn_output, "attention.dense", HIDDEN, HIDDEN)
    return attn_output, attn_weights


def mlp(c: Context, hidden_states: Value) -> Value:
    """GPTNeoXMLP.forward."""
    hidden_states = linear(c, hidden_states, "mlp.dense_h_to_4h", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = linear(c, hidden_states, "mlp.dense_4h_to_h", HIDDEN, WIDE)
    return hidden_states


def embed(c: Context) -> Value:
    """GPTNeoXModel.forward up to the layers."""
    inputs_embeds = head.token_embedding(c)
    head.causal_mask(c)
    hidden_states = dropout(c, inputs_embeds, c.structure.embedding_dropout)
    head.rotary_tables(c)
    c.model_locals.append(inputs_embeds)
    return hidden_states


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "final_layer_norm")
