"""BLOOM (transformers 5.23 models/bloom): ALiBi inside baddbmm, eager attention only, a GELU of its own."""

from planner.memory import head, ops
from planner.memory.attention_modules import (
    add_mask,
    folded,
    holds_returned_weights,
    keep_returned_weights,
    matmul,
    merge_heads,
    returned_weights,
    softmax,
)
from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.layernorm_modules import HIDDEN, WIDE, dropout, layer_norm, norm_and_loss, residual_dropout
from planner.memory.linear_ops import autocast
from planner.memory.live import Shape
from planner.memory.modules import Context, linear
from planner.memory.tape import Tape

HEADS: Shape = ("B", "heads", "S", "head_dim")
SCORES: Shape = ("B", "heads", "S", "S")


def layer(c: Context, hidden_states: Value) -> Value:
    """BloomBlock.forward."""
    quantized = "self_attention.query_key_value" in c.structure.quantized  # then its output has its input's dtype
    weights_dtype = c.tape.autocast if c.tape.autocast and not quantized else c.hidden_dtype
    hidden_states = holds_returned_weights(c, hidden_states, SCORES, weights_dtype)
    layernorm_output = layer_norm(c, hidden_states, "input_layernorm")
    residual = hidden_states
    attention_output, attn_weights = attention(c, layernorm_output, residual)
    layernorm_output = layer_norm(c, attention_output, "post_attention_layernorm")
    residual = attention_output
    output = mlp(c, layernorm_output, residual)
    keep_returned_weights(c, hidden_states, attn_weights)
    return output


def attention(c: Context, hidden_states: Value, residual: Value) -> tuple[Value, Value]:
    """BloomAttention.forward: q, k and v are copies for a batch of several, and every local lives to the end."""
    t = c.tape
    fused_qkv = linear(c, hidden_states, "self_attention.query_key_value", (3, *HIDDEN), HIDDEN)
    query_layer, key_layer, value_layer = (ops.narrow(t, fused_qkv, HEADS) for _ in range(3))
    query_layer, key_layer, value_layer = folded(c, query_layer), folded(c, key_layer), folded(c, value_layer)
    attention_scores = baddbmm(t, query_layer, key_layer)
    attn_weights = add_mask(t, attention_scores, c.hidden_dtype)
    attention_probs = ops.to(t, softmax(c, attn_weights, "float32"), query_layer.dtype, "attention weights")
    attention_probs = returned_weights(c, dropout(c, attention_probs, c.structure.block.attention_dropout))
    context_layer = matmul(c, attention_probs, value_layer, HEADS, "attention output")
    context_layer = ops.view(t, merge_heads(t, context_layer), ("B", "S", "hidden"))
    output_tensor = linear(c, context_layer, "self_attention.dense", HIDDEN, HIDDEN)
    output_tensor = dropout_add(c, output_tensor, residual)
    return output_tensor, attention_probs


def baddbmm(t: Tape, query: Value, key: Value) -> Value:
    """alibi.baddbmm(q, k, alpha=1/sqrt(d)): saves both; each gradient is a product, then scaled."""
    if t.autocast:
        query, key = autocast(t, query), autocast(t, key)
    metadata = [(v.requires_grad, v.shape, v.dtype) for v in (query, key)]

    def gradient(shape: Shape, dtype: str) -> Value:
        product = t.allocate(shape, dtype, "baddbmm grad")
        scaled = t.allocate(shape, dtype, "baddbmm grad")
        del product
        return scaled

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        for wanted, shape, dtype in metadata:
            if wanted:
                t.work.product(
                    dtype, (*whole(grad), (shape, dtype), (shape, dtype)), SCORES[:2], ("S",), shape[3:], ("S",)
                )
                t.work.note("elementwise", dtype, ((shape, dtype), (shape, dtype)))
        return tuple(gradient(shape, dtype) if wanted else None for wanted, shape, dtype in metadata)

    saves = ([query] if key.requires_grad else []) + ([key] if query.requires_grad else [])
    products = ((SCORES[:2], ("S",), ("S",), query.shape[3:]),)
    return t.op("scores", SCORES, query.dtype, [query, key], backward, saves, kind="matmul", products=products)


def mlp(c: Context, hidden_states: Value, residual: Value) -> Value:
    """BloomMLP.forward."""
    wide = linear(c, hidden_states, "mlp.dense_h_to_4h", WIDE, HIDDEN)
    hidden_states = gelu(c.tape, wide)
    del wide
    intermediate_output = linear(c, hidden_states, "mlp.dense_4h_to_h", HIDDEN, WIDE)
    output = dropout_add(c, intermediate_output, residual)
    return output


def dropout_add(c: Context, x: Value, residual: Value) -> Value:
    """``residual + F.dropout(x)``."""
    out = residual_dropout(c, x)
    out = ops.add(c.tape, residual, out, "hidden states")
    return out


def gelu(t: Tape, x: Value) -> Value:
    """GeLUFunction: saves its input alone; forward and backward are many operators without a graph."""

    def backward(grad: Value, saved: Value) -> ops.Grads:
        with t.no_grad():
            return (bloom_gelu_back(t, grad, saved),)

    with t.no_grad():
        out = bloom_gelu_forward(t, x)
    node = t.record([x], backward, [x])
    if node is not None:
        out.requires_grad, out.node = True, node
    return out


def bloom_gelu_forward(t: Tape, x: Value) -> Value:
    """``x * 0.5 * (1.0 + tanh(0.79788456 * x * (1 + 0.044715 * x * x)))``."""
    return ops.mul(t, ops.scale(t, x, "gelu"), ops.add_constant(t, _tanh(t, x), "gelu"), "gelu")


def _tanh(t: Tape, x: Value) -> Value:
    return ops.scale(t, _tanh_input(t, x), "gelu")


def _tanh_input(t: Tape, x: Value) -> Value:
    """``0.79788456 * x * (1 + 0.044715 * x * x)``."""
    return ops.mul(
        t,
        ops.scale(t, x, "gelu"),
        ops.add_constant(t, ops.mul(t, ops.scale(t, x, "gelu"), x, "gelu"), "gelu"),
        "gelu",
    )


def bloom_gelu_back(t: Tape, g: Value, x: Value) -> Value:
    """``0.5 * x * ((1 - t * t) * (0.79788456 + 0.1070322243 * x * x)) + 0.5 * (1 + t)`` with t the tanh, times g."""
    tanh_out = _tanh(t, x)
    ff = ops.add(
        t,
        ops.mul(
            t,
            ops.scale(t, x, "gelu"),
            ops.mul(
                t,
                ops.add_constant(t, ops.mul(t, tanh_out, tanh_out, "gelu"), "gelu"),
                ops.add_constant(t, ops.mul(t, ops.scale(t, x, "gelu"), x, "gelu"), "gelu"),
                "gelu",
            ),
            "gelu",
        ),
        ops.scale(t, ops.add_constant(t, tanh_out, "gelu"), "gelu"),
        "gelu",
    )
    return ops.mul(t, ff, g, "gelu grad")


def embed(c: Context) -> Value:
    """BloomModel.forward up to the layers."""
    t = c.tape
    inputs_embeds = head.token_embedding(c)
    hidden_states = layer_norm(c, inputs_embeds, "word_embeddings_layernorm")
    c.model_locals.append(inputs_embeds)
    c.forward_only.append(t.allocate(("B", "heads", "S"), c.hidden_dtype, "alibi"))
    head.causal_mask(c)
    return hidden_states


def loss(c: Context, hidden_states: Value) -> Value:
    """The final norm, the head and the loss."""
    return norm_and_loss(c, hidden_states, "ln_f")
