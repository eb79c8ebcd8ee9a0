"""T5Attention on a tape: position biases as a mask that has a gradient, by sdpa or operator by operator."""

from planner.memory import linear_ops, modules, ops
from planner.memory.attention_modules import (
    math_attention,
    matmul,
    merge_heads,
    softmax,
    split_heads,
    transposed,
)
from planner.memory.graph import Value
from planner.memory.layernorm_modules import dropout
from planner.memory.layers.parts import HIDDEN, QUERIES
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

HEADS: Shape = ("B", "heads", "S", "head_dim")
SCORES: Shape = ("B", "heads", "S", "S")
STATES: Shape = ("B", "S", "hidden")
BIAS: Shape = (1, "heads", "S", "S")


def attention(
    c: Context, name: str, hidden_states: Value, current_states: Value, position_bias: Value | None
) -> tuple[Value, Value, Value | None]:
    """T5Attention.forward: of its own input, or of the encoder's output."""
    query_states = split_heads(c, linear(c, hidden_states, f"{name}.q", QUERIES, HIDDEN), HEADS)
    key_states = linear(c, current_states, f"{name}.k", QUERIES, HIDDEN)
    key_states = split_heads(c, key_states, HEADS, unrotated_key=True)
    value_states = split_heads(c, linear(c, current_states, f"{name}.v", QUERIES, HIDDEN), HEADS)
    cross = current_states is not hidden_states
    if position_bias is None:
        position_bias = no_bias(c, query_states.dtype) if cross else compute_bias(c, name)
    attend = eager if c.structure.attention == "eager" else sdpa
    attn_output, attn_weights = attend(c, query_states, key_states, value_states, position_bias, cross)
    attn_output = ops.view(c.tape, attn_output, ("B", "S", *QUERIES))
    attn_output = linear(c, attn_output, f"{name}.o", HIDDEN, QUERIES)
    return attn_output, position_bias, attn_weights


def no_bias(c: Context, dtype: str) -> Value:
    """Zeros, which require a gradient where checkpointing is on."""
    zeros = c.tape.allocate(BIAS, dtype, "cross bias")
    if c.structure.checkpointing != "none":
        zeros.requires_grad, zeros.leaf = True, "cross bias"
    return zeros


def query_dtype(c: Context, name: str) -> str:
    """What the query projection returns: autocast's dtype, unless bitsandbytes casts it back to its input's."""
    autocast = None if f"{name}.q" in c.structure.quantized else c.tape.autocast
    return autocast or c.hidden_dtype


def compute_bias(c: Context, name: str) -> Value:
    """Buckets of relative positions, looked up: saves them; the gradient is made contiguous, then dense."""
    t = c.tape
    weight = c.parameter(f"{name}.relative_attention_bias.weight", ("buckets", "heads"))
    relative_position = t.allocate(("S", "S"), "int64", "relative positions")
    bucket = t.allocate(("S", "S"), "int64", "buckets of positions")
    del relative_position

    def backward(grad: Value, saved: Value) -> ops.Grads:
        contiguous = t.allocate(("S", "S", "heads"), weight.dtype, "contiguous grad")
        out = t.allocate(weight.shape, weight.dtype, "bias grad")
        del contiguous
        return (out,)

    return t.op("position bias", BIAS, weight.dtype, [weight], backward, [bucket], contiguous=False)


# -- attention functions ---------------------------------------------------------------------------------------------


def eager(
    c: Context, query: Value, key: Value, value: Value, position_bias: Value, cross: bool
) -> tuple[Value, Value | None]:
    """eager_attention_forward of t5: bias and mask are added, and the softmax stays in the scores' dtype."""
    t = c.tape
    attn_weights = ops.scale(t, matmul(c, query, transposed(t, key), SCORES, "scores"), "scaled scores")
    attn_weights = ops.add(t, attn_weights, position_bias, "scores and bias")
    if causal(c, cross) or c.structure.mask == "padded":
        attn_weights = ops.add_constant(t, attn_weights, "masked scores", c.hidden_dtype)
    attn_weights = softmax(c, attn_weights, None)
    attn_weights = dropout(c, attn_weights, c.structure.block.attention_dropout)
    attn_output = matmul(c, attn_weights, value, HEADS, "attention output")
    attn_output = merge_heads(t, attn_output)
    return attn_output, attn_weights


def causal(c: Context, cross: bool) -> bool:
    """Self-attention of the decoder."""
    return not cross and not c.structure.block.bidirectional


def sdpa(
    c: Context, query: Value, key: Value, value: Value, position_bias: Value, cross: bool
) -> tuple[Value, Value | None]:
    """sdpa_attention_forward with a position bias: no CPU kernel takes one with a gradient, or drops out."""
    t, drops = c.tape, c.structure.block.attention_dropout
    attention_mask = mask = position_bias_mask(c, position_bias, cross)
    if t.autocast:
        query, key, value, mask = (linear_ops.autocast(t, v) for v in (query, key, value, mask))
    if c.structure.device == "cpu" and (drops or mask.requires_grad):
        return merge_heads(t, math_attention(c, query, key, value, mask, drops)), None
    out = modules.fused_attention(t, query, key, value, mask)
    del attention_mask  # a local, beside what autocast made of it
    return ops.view(t, out, ("B", "S", *QUERIES)), None


def position_bias_mask(c: Context, position_bias: Value, cross: bool) -> Value:
    """create_position_bias_mask: the bias where tokens attend, made contiguous, for each layer anew."""
    t = c.tape
    if causal(c, cross):
        condition = t.allocate(("S", "S"), "bool", "causal mask")
        masked = where(c, condition, position_bias, BIAS)
    elif c.structure.mask == "padded":
        masked = where(c, t.external(("B", 1, "S", "S"), "bool"), position_bias, SCORES)
    else:
        masked = position_bias
    return masked if masked.contiguous else ops.copy(t, masked, label="attention mask")


def where(c: Context, condition: Value, x: Value, shape: Shape) -> Value:
    """torch.where(condition, x, number): saves the condition."""
    t = c.tape

    def backward(grad: Value, saved: Value) -> ops.Grads:
        return (t.allocate(shape, grad.dtype, "where grad"),)

    return t.op("masked bias", shape, x.dtype, [x], backward, [condition], contiguous=x.contiguous)


# -- masks -----------------------------------------------------------------------------------------------------------


def encoder_mask(c: Context, saved: bool) -> None:
    """create_bidirectional_mask: none without padding. saved: torch.where keeps it for a bias with a gradient."""
    s = c.structure
    if s.mask == "padded":
        dtype = c.hidden_dtype if s.attention == "eager" else "bool"
        keep = c.tables if saved and s.attention != "eager" else c.forward_only
        keep.append(c.tape.allocate(("B", "S", "S"), dtype, "attention mask"))
