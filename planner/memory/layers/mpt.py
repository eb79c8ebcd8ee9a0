"""MPT (transformers 5.23 models/mpt): ALiBi in float32, eager attention only, norms and linears without biases.

Models of llm-foundry's own config (no_bias=false) have biases, and learned positions instead of ALiBi: transformers'
class builds neither, so these are modelled (exceeds_transformers). With flash_attention_2 so is llm-foundry's own
attention, one kernel that is told of causal order and ALiBi's slopes: transformers' class has none.
"""

from planner.memory import head, ops
from planner.memory.attention_modules import (
    holds_returned_weights,
    keep_returned_weights,
    matmul,
    merge_heads,
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
    add_positions,
    dropout,
    layer_norm,
    norm_and_loss,
    position_embedding,
)
from planner.memory.live import Shape
from planner.memory.modules import Context, linear, sdpa_attention

TOKENS: Shape = ("B", "S", "hidden")
HEADS: Shape = ("B", "heads", "S", "head_dim")
SCORES: Shape = ("B", "heads", "S", "S")


def layer(c: Context, hidden_states: Value) -> Value:
    """MptBlock.forward; all of its dropout has attention's probability."""
    given = hidden_states
    if not fused(c):
        given = hidden_states = holds_returned_weights(c, hidden_states, SCORES, value_dtype(c))
    layernorm_output = layer_norm(c, hidden_states, "norm_1")
    residual = hidden_states
    attn_outputs, attn_weights = attention(c, layernorm_output)
    hidden_states = ops.add(
        c.tape, dropout(c, attn_outputs, c.structure.block.attention_dropout), residual, "hidden states"
    )
    layernorm_output = layer_norm(c, hidden_states, "norm_2")
    residual = hidden_states
    output = mlp(c, layernorm_output, residual)
    keep_returned_weights(c, given, attn_weights)
    return output


def fused(c: Context) -> bool:
    """Whether llm-foundry's attention runs, in one kernel."""
    return c.structure.attention == "flash_attention_2"


def value_dtype(c: Context) -> str:
    """What the fused projection returns: autocast's dtype, unless bitsandbytes casts it back to its input's."""
    autocast = None if "attn.Wqkv" in c.structure.quantized else c.tape.autocast
    return autocast or c.hidden_dtype


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value | None]:
    """MptAttention.forward."""
    t = c.tape
    mixed_qkv = linear(c, hidden_states, "attn.Wqkv", (3, *HIDDEN), HIDDEN)
    query_states, key_states, value_states = ops.split(t, mixed_qkv, [TOKENS] * 3)
    query_states = split_heads(c, query_states, HEADS)
    key_states = split_heads(c, key_states, HEADS, unrotated_key=True)
    value_states = split_heads(c, value_states, HEADS)
    if fused(c):
        context_states = sdpa_attention(c, query_states, key_states, value_states, grouped=False)
        return linear(c, ops.view(t, context_states, TOKENS), "attn.out_proj", HIDDEN, HIDDEN), None
    attention_scores = ops.scale(t, matmul(c, query_states, transposed(t, key_states), SCORES, "scores"))
    if c.structure.block.position == "alibi":
        attention_scores = ops.add_constant(t, attention_scores, "scores and alibi", "float32")
    attention_scores = ops.add_constant(t, attention_scores, "masked scores")
    attn_weights = softmax(c, ops.to(t, attention_scores, "float32"), None)
    attn_weights = ops.to(t, attn_weights, value_states.dtype, "attention weights")
    attn_weights = returned_weights(c, dropout(c, attn_weights, c.structure.block.attention_dropout))
    context_states = matmul(c, attn_weights, value_states, HEADS, "attention output")
    context_states = ops.view(t, merge_heads(t, context_states), TOKENS)
    attn_output = linear(c, context_states, "attn.out_proj", HIDDEN, HIDDEN)
    return attn_output, attn_weights


def mlp(c: Context, hidden_states: Value, residual: Value) -> Value:
    """MptMLP.forward."""
    hidden_states = activated(c, hidden_states)
    intermediate_output = linear(c, hidden_states, "ffn.down_proj", HIDDEN, WIDE)
    output = dropout(c, intermediate_output, c.structure.block.attention_dropout)
    output = ops.add(c.tape, output, residual, "hidden states")
    return output


def activated(c: Context, x: Value) -> Value:
    """``act(up_proj(x))``: the projection lives until the activation returns."""
    up = linear(c, x, "ffn.up_proj", WIDE, HIDDEN)
    return activation(c, up)


def embed(c: Context) -> Value:
    """MptModel.forward up to the layers: the mask is made in the model's dtype, then cast to bool."""
    t = c.tape
    inputs_embeds = head.token_embedding(c)
    hidden_states = inputs_embeds
    if c.structure.block.position == "alibi":
        c.forward_only.append(t.allocate(("heads", "max_length"), "float32", "alibi"))
    else:
        position_ids = t.allocate(("S",), "int64", "position ids")
        c.forward_only.append(position_ids)
        hidden_states = add_positions(t, inputs_embeds, position_embedding(c, "wpe.weight", position_ids))
    if fused(c):
        c.model_locals.append(inputs_embeds)
        return hidden_states
    made = t.allocate(("B", "S", "S"), c.hidden_dtype, "attention mask")
    c.tables.append(t.allocate(("B", "S", "S"), "bool", "attention mask"))  # masked_fill saves it
    del made
    c.model_locals.append(inputs_embeds)
    return hidden_states


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "norm_f")
