"""Phi (transformers 5.23 models/phi): one LayerNorm before attention and MLP in parallel, rotary on half of a head."""

from planner.memory import head, ops
from planner.memory.attention_modules import attend, joined, narrowed, split_heads
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
from planner.memory.modules import Context, linear, rotary

QUERIES: Shape = ("heads", "head_dim")
KEYS: Shape = ("kv_heads", "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """PhiDecoderLayer.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "input_layernorm")
    attn_outputs, _ = attention(c, hidden_states)
    attn_outputs = residual_dropout(c, attn_outputs)
    feed_forward_hidden_states = residual_dropout(c, mlp(c, hidden_states))
    hidden_states = ops.add(t, ops.add(t, attn_outputs, feed_forward_hidden_states), residual, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """PhiAttention.forward."""
    t = c.tape
    query_states = projected(c, hidden_states, "q_proj", QUERIES)
    key_states = projected(c, hidden_states, "k_proj", KEYS)
    value_states = projected(c, hidden_states, "v_proj", KEYS)
    if c.structure.block.qk_norm != "none":
        query_states = layer_norm(c, query_states, "self_attn.q_layernorm", ("head_dim",))
        key_states = layer_norm(c, key_states, "self_attn.k_layernorm", ("head_dim",))
    query_rot, query_pass = narrowed(c, query_states)
    key_rot, key_pass = narrowed(c, key_states)
    query_rot, key_rot = rotary(c, query_rot), rotary(c, key_rot)
    query_states = joined(c, query_rot, query_pass, query_states.shape)
    key_states = joined(c, key_rot, key_pass, key_states.shape)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states)
    attn_output = ops.view(t, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, "self_attn.dense", HIDDEN, QUERIES)
    return attn_output, attn_weights


def projected(c: Context, hidden_states: Value, name: str, split: Shape) -> Value:
    """q_proj, k_proj or v_proj, as [B, heads, S, head_dim]."""
    return split_heads(c, linear(c, hidden_states, f"self_attn.{name}", split, HIDDEN), ("B", split[0], "S", split[1]))


def mlp(c: Context, hidden_states: Value) -> Value:
    """PhiMLP.forward."""
    hidden_states = linear(c, hidden_states, "mlp.fc1", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = linear(c, hidden_states, "mlp.fc2", HIDDEN, WIDE)
    return hidden_states


def embed(c: Context) -> Value:
    """PhiModel.forward up to the layers."""
    inputs_embeds = head.token_embedding(c)
    head.causal_mask(c)
    inputs_embeds = dropout(c, inputs_embeds, c.structure.embedding_dropout)
    head.rotary_tables(c)
    c.model_locals.append(inputs_embeds)
    return inputs_embeds


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "final_layernorm")
