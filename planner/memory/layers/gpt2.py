"""GPT-2 (transformers 5.23 models/gpt2): learned positions, LayerNorm, one projection for q, k and v, dropout."""

from planner.memory import head, ops
from planner.memory.attention_modules import attend, split_heads
from planner.memory.graph import Value
from planner.memory.layernorm_modules import (
    HIDDEN,
    WIDE,
    activation,
    add_positions,
    dropout,
    layer_norm,
    norm_and_loss,
    position_embedding,
    residual_dropout,
)
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

TOKENS: Shape = ("B", "S", "hidden")
HEADS: Shape = ("B", "heads", "S", "head_dim")


def layer(c: Context, hidden_states: Value) -> Value:
    """GPT2Block.forward."""
    t = c.tape
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_1")
    attn_output, _ = attention(c, hidden_states)
    hidden_states = ops.add(t, attn_output, residual, "hidden states")
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_2")
    feed_forward_hidden_states = mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, feed_forward_hidden_states, "hidden states")
    return hidden_states


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """GPT2Attention.forward; c_attn and c_proj are Conv1D, whose addmm saves and allocates what a linear does."""
    t = c.tape
    query_states, key_states, value_states = ops.split(
        t, linear(c, hidden_states, "attn.c_attn", (3, *HIDDEN), HIDDEN), [TOKENS] * 3
    )
    key_states = split_heads(c, key_states, HEADS, unrotated_key=True)
    value_states = split_heads(c, value_states, HEADS)
    query_states = split_heads(c, query_states, HEADS)
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, softmax_dtype=None)
    attn_output = ops.view(t, attn_output, TOKENS)
    attn_output = linear(c, attn_output, "attn.c_proj", HIDDEN, HIDDEN)
    attn_output = residual_dropout(c, attn_output)
    return attn_output, attn_weights


def mlp(c: Context, hidden_states: Value) -> Value:
    """GPT2MLP.forward."""
    hidden_states = linear(c, hidden_states, "mlp.c_fc", WIDE, HIDDEN)
    hidden_states = activation(c, hidden_states)
    hidden_states = linear(c, hidden_states, "mlp.c_proj", HIDDEN, WIDE)
    hidden_states = residual_dropout(c, hidden_states)
    return hidden_states


def embed(c: Context) -> Value:
    """GPT2Model.forward up to the layers, which get the position ids too."""
    return embed_with_positions(c, c.forward_only)


def embed_with_positions(c: Context, holds_ids: list[Value]) -> Value:
    """The sum of both embeddings, and its dropout; `holds_ids`: what keeps the position ids."""
    t = c.tape
    inputs_embeds = head.token_embedding(c)
    position_ids = t.allocate(("S",), "int64", "position ids")
    holds_ids.append(position_ids)
    position_embeds = position_embedding(c, "wpe.weight", position_ids)
    hidden_states = add_positions(t, inputs_embeds, position_embeds)
    head.causal_mask(c)
    c.model_locals += [inputs_embeds, position_embeds]
    return dropout(c, hidden_states, c.structure.embedding_dropout)


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "ln_f")
