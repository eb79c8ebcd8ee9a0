"""GPT-Neo (transformers 5.23 models/gpt_neo): GPT-2's layer, separate projections, float32 scores, eager only."""

from planner.memory import ops
from planner.memory.attention_modules import (
    add_mask,
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
from planner.memory.layernorm_modules import HIDDEN, dropout, layer_norm, norm_and_loss, residual_dropout
from planner.memory.layers import gpt2
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

TOKENS: Shape = ("B", "S", "hidden")
HEADS: Shape = ("B", "heads", "S", "head_dim")
SCORES: Shape = ("B", "heads", "S", "S")


def layer(c: Context, hidden_states: Value) -> Value:
    """GPTNeoBlock.forward."""
    t = c.tape
    given = hidden_states = holds_returned_weights(c, hidden_states, SCORES, value_dtype(c, "attn.attention.v_proj"))
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_1")
    attn_output, attn_weights = attention(c, hidden_states)
    hidden_states = ops.add(t, attn_output, residual, "hidden states")
    residual = hidden_states
    hidden_states = layer_norm(c, hidden_states, "ln_2")
    feed_forward_hidden_states = gpt2.mlp(c, hidden_states)
    hidden_states = ops.add(t, residual, feed_forward_hidden_states, "hidden states")
    keep_returned_weights(c, given, attn_weights)
    return hidden_states


def value_dtype(c: Context, name: str) -> str:
    """What a projection returns: autocast's dtype, unless bitsandbytes casts it back to its input's."""
    autocast = None if name in c.structure.quantized else c.tape.autocast
    return autocast or c.hidden_dtype


def attention(c: Context, hidden_states: Value) -> tuple[Value, Value]:
    """GPTNeoSelfAttention.forward."""
    query = linear(c, hidden_states, "attn.attention.q_proj", HIDDEN, HIDDEN)
    key = linear(c, hidden_states, "attn.attention.k_proj", HIDDEN, HIDDEN)
    value = linear(c, hidden_states, "attn.attention.v_proj", HIDDEN, HIDDEN)
    query, value = split_heads(c, query, HEADS), split_heads(c, value, HEADS)
    key = split_heads(c, key, HEADS, unrotated_key=True)
    attn_output, attn_weights = attend(c, query, key, value)
    attn_output = ops.view(c.tape, merge_heads(c.tape, attn_output), TOKENS)
    attn_output = linear(c, attn_output, "attn.attention.out_proj", HIDDEN, HIDDEN)
    attn_output = residual_dropout(c, attn_output)
    return attn_output, attn_weights


def attend(c: Context, query: Value, key: Value, value: Value) -> tuple[Value, Value]:
    """GPTNeoSelfAttention._attn: queries and keys in float32, the layer's own mask and the model's."""
    t = c.tape
    query, key = ops.to(t, query, "float32"), ops.to(t, key, "float32")
    attn_weights = matmul(c, query, transposed(t, key), SCORES, "scores")
    attn_weights = masked(c, attn_weights)
    attn_weights = add_mask(t, attn_weights, c.hidden_dtype)
    attn_weights = softmax(c, attn_weights, None)
    attn_weights = ops.to(t, attn_weights, value.dtype, "attention weights")
    attn_weights = returned_weights(c, dropout(c, attn_weights, c.structure.block.attention_dropout))
    attn_output = matmul(c, attn_weights, value, HEADS, "attention output")
    return attn_output, attn_weights


def masked(c: Context, x: Value) -> Value:
    """torch.where(causal_mask, x, number): the condition is a buffer of the layer."""
    t = c.tape

    def backward(grad: Value) -> ops.Grads:
        return (t.allocate(grad.shape, grad.dtype, "where grad"),)

    return t.op("scores in the window", x.shape, x.dtype, [x], backward)


def embed(c: Context) -> Value:
    """GPTNeoModel.forward up to the layers, which do not get the position ids."""
    return gpt2.embed_with_positions(c, c.model_locals)


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "ln_f")
