"""Attention by single operators on a tape: eager functions, sdpa's math path, and the layouts between them.

A [B, heads, S, head_dim] tensor is `contiguous` where it is laid out so, and not where it is a transposed view of
[B, S, heads, head_dim]: torch copies where it has to, and those copies are modelled here.
"""

from planner.memory import linear_ops, modules, ops
from planner.memory.graph import Value
from planner.memory.layernorm_modules import dropout
from planner.memory.live import Shape
from planner.memory.modules import Context
from planner.memory.tape import Tape


def split_heads(c: Context, x: Value, shape: Shape, unrotated_key: bool = False) -> Value:
    """view(B, S, heads, head_dim).transpose(1, 2): backward views the gradient where its layout allows, else copies.

    unrotated_key: its gradient comes from ``key.transpose(-1, -2)`` of a batched product as [B, heads, head_dim, S],
    which can be viewed as [B, S, hidden] but is not contiguous.
    """
    t, before = c.tape, x.shape
    viewable = not (unrotated_key and runs_by_operators(c)) or c.structure.single_sequence

    def backward(grad: Value) -> ops.Grads:
        if grad.contiguous:
            return (t.allocate(before, grad.dtype, "gradient in [B, S, heads]"),)
        return (Value(grad.storage, before, grad.dtype, contiguous=viewable),)

    return t.op("view", shape, x.dtype, [x], backward, view=x, contiguous=False)


def merge_heads(t: Tape, x: Value) -> Value:
    """transpose(1, 2).contiguous(): [B, heads, S, head_dim] copied to [B, S, heads, head_dim]."""
    before = x.shape
    batch, heads, length, width = before

    def backward(grad: Value) -> ops.Grads:
        return (Value(grad.storage, before, grad.dtype, contiguous=False),)

    return t.op("attention output", (batch, length, heads, width), x.dtype, [x], backward)


def narrowed(c: Context, x: Value) -> tuple[Value, Value]:
    """``x[..., :rotary_dim], x[..., rotary_dim:]``; the first is an alias where that is all of it."""
    rest = ops.narrow(c.tape, x, (*x.shape[:-1], "rest_dim"))
    if c.structure.block.partial_rotary:
        return ops.narrow(c.tape, x, (*x.shape[:-1], "rotary_dim")), rest
    return ops.view(c.tape, x, x.shape, contiguous=x.contiguous), rest


def joined(c: Context, rotated: Value, rest: Value, shape: Shape) -> Value:
    """torch.cat of both parts, which autocast gives the wider dtype."""
    if c.tape.autocast:
        rest = ops.to(c.tape, rest, rotated.dtype)
    return ops.cat(c.tape, (rotated, rest), shape)


def partly_rotated(c: Context, q: Value, k: Value) -> tuple[Value, Value]:
    """apply_rotary_pos_emb of gpt_neox: both are rotated before either is joined with what is passed on."""
    q_rot, q_pass = narrowed(c, q)
    k_rot, k_pass = narrowed(c, k)
    q_embed = modules.rotary(c, q_rot)
    k_embed = modules.rotary(c, k_rot)
    q_embed = joined(c, q_embed, q_pass, q.shape)
    k_embed = joined(c, k_embed, k_pass, k.shape)
    return q_embed, k_embed


def transposed(t: Tape, key: Value) -> Value:
    """key.transpose(-1, -2), in the shape of the key: backward's [B, heads, head_dim, S] is not contiguous as a key."""

    def backward(grad: Value) -> ops.Grads:
        return (Value(grad.storage, grad.shape, grad.dtype, contiguous=False),)

    return t.op("view", key.shape, key.dtype, [key], backward, view=key, contiguous=key.contiguous)


def matmul(c: Context, a: Value, b: Value, shape: Shape, label: str) -> Value:
    """torch.matmul of 4-D tensors: bmm on [B * heads, ...], with copies of what cannot be viewed so."""
    t = c.tape
    if t.autocast:
        a, b = linear_ops.autocast(t, a), linear_ops.autocast(t, b)
    return batched(c, a, b, shape, label)


def batched(c: Context, a: Value, b: Value, shape: Shape, label: str) -> Value:
    """at::matmul below autocast."""
    heads = a.shape[1:2]
    return _unfolded(c, linear_ops.matmul(c.tape, folded(c, a), folded(c, _spread(c, b, heads)), shape, label))


def folded(c: Context, x: Value) -> Value:
    """reshape(B * heads, ...): a copy where the batch and the heads cannot be viewed as one dimension."""
    if x.contiguous or c.structure.single_sequence:
        return x
    return ops.copy(c.tape, x, label="folded for bmm")


def _spread(c: Context, x: Value, heads: Shape) -> Value:
    """expand of one key head to all heads: copied when it is folded, but for a single sequence."""
    if x.shape[1:2] == heads:
        return x
    before = x.shape
    if not c.structure.single_sequence:
        return ops.expand_copy(c.tape, x, (*before[:1], *heads, *before[2:]))

    def backward(grad: Value) -> ops.Grads:
        return (c.tape.allocate(before, grad.dtype, "sum grad"),)

    return c.tape.op("view", (*before[:1], *heads, *before[2:]), x.dtype, [x], backward, view=x)


def _unfolded(c: Context, out: Value) -> Value:
    """view of bmm's output as 4-D: backward reshapes, which copies a gradient laid out as [B, S, heads]."""
    t, shape = c.tape, out.shape

    def backward(grad: Value) -> ops.Grads:
        if grad.contiguous or c.structure.single_sequence:
            return (Value(grad.storage, shape, grad.dtype),)
        return (t.allocate(shape, grad.dtype, "gradient folded for bmm"),)

    return t.op("view", shape, out.dtype, [out], backward, view=out)


def add_mask(t: Tape, scores: Value, mask_dtype: str, label: str = "masked scores") -> Value:
    """scores + attention_mask, a float mask without gradient: a new tensor of the wider dtype."""

    def backward(grad: Value) -> ops.Grads:
        return (ops.same(grad),)

    return t.op(label, scores.shape, ops.promote(scores.dtype, mask_dtype), [scores], backward)


def softmax(c: Context, x: Value, dtype: str | None) -> Value:
    """F.softmax(dim=-1, dtype=...), which CUDA's autocast runs in float32."""
    return ops.softmax(c.tape, x, "float32" if c.tape.autocast and c.structure.device == "cuda" else dtype)


def eager_attention(
    c: Context, query: Value, key: Value, value: Value, softmax_dtype: str | None = "float32", casts: bool = True
) -> tuple[Value, Value]:
    """eager_attention_forward of gpt2, gpt_neox, opt and phi: scores, mask, softmax, dropout, one tensor each.

    casts: the weights are cast back after the softmax (bert's are not).
    """
    t = c.tape
    scores: Shape = (*query.shape[:3], "S")
    given = query.dtype if softmax_dtype else value.dtype
    if c.structure.block.grouped:
        key, value = modules.repeat_kv(c, key, query.shape), modules.repeat_kv(c, value, query.shape)
    attn_weights = ops.scale(t, matmul(c, query, transposed(t, key), scores, "scores"), "scaled scores")
    if c.structure.mask == "padded" or not c.structure.block.bidirectional:
        attn_weights = add_mask(t, attn_weights, c.hidden_dtype)
    attn_weights = softmax(c, attn_weights, softmax_dtype)
    attn_weights = ops.to(t, attn_weights, given if casts else attn_weights.dtype, "attention weights")
    attn_weights = dropout(c, attn_weights, c.structure.block.attention_dropout)
    attn_output = matmul(c, attn_weights, value, (*query.shape[:3], *value.shape[3:]), "attention output")
    attn_output = merge_heads(t, attn_output)
    return attn_output, attn_weights


def sdpa_attention(c: Context, query: Value, key: Value, value: Value) -> Value:
    """sdpa_attention_forward; on the CPU the math path where no kernel takes it, with grouped keys repeated."""
    t, grouped = c.tape, c.structure.block.grouped
    if not runs_by_operators(c):
        return modules.sdpa_attention(c, query, key, value, grouped)
    repeats = grouped and c.mask is None and not c.structure.block.wide_heads
    if grouped and not repeats:
        key, value = modules.repeat_kv(c, key, query.shape), modules.repeat_kv(c, value, query.shape)
    if t.autocast:
        query, key, value = (linear_ops.autocast(t, v) for v in (query, key, value))
    mask = modules.additive_mask(c, query.dtype)
    return merge_heads(t, math_attention(c, query, key, value, mask, c.structure.block.attention_dropout, repeats))


def runs_by_operators(c: Context) -> bool:
    """Whether attention is matmuls and a softmax rather than one fused kernel.

    The CPU's flash kernel knows no dropout, and takes values only as wide as keys (sdp_utils_cpp.cpp).
    """
    s = c.structure
    unfused = s.block.attention_dropout or s.block.uneven_heads
    return s.attention == "eager" or (s.attention == "sdpa" and s.device == "cpu" and unfused)


def attend(
    c: Context, query: Value, key: Value, value: Value, softmax_dtype: str | None = "float32", casts: bool = True
) -> tuple[Value, Value | None]:
    """The attention function transformers picks by attn_implementation: output [B, S, heads, head_dim], weights."""
    if c.structure.attention == "eager":
        return eager_attention(c, query, key, value, softmax_dtype, casts)
    return sdpa_attention(c, query, key, value), None


def math_attention(
    c: Context, query: Value, key: Value, value: Value, mask: Value | None, drops: bool, repeats: bool = False
) -> Value:
    """_scaled_dot_product_attention_math (ATen/native/transformers/attention.cpp): float32, op by op.

    repeats: with enable_gqa, keys and values are copied to all heads (repeat_interleave).
    """
    t, origin_dtype = c.tape, query.dtype
    query_acc, key_acc, value_acc = (ops.to(t, v, "float32") for v in (query, key, value))
    if c.structure.block.multi_query and key.shape[:3] == query.shape[:3]:  # copies of one key for all heads are dense
        key_acc.contiguous, value_acc.contiguous = (v.dtype != "float32" for v in (key, value))
    query = ops.scale(t, query_acc, "scaled query")
    if mask is None and not c.structure.block.bidirectional:
        mask = _causal_mask(t, query.dtype)
    scores: Shape = (*query.shape[:3], "S")
    keys, values = (_repeated(t, v, query.shape) if repeats else v for v in (key_acc, value_acc))
    attn = batched(c, query, ops.scale(t, transposed(t, keys), "scaled key"), scores, "scores")
    if mask is not None and t.observed:  # attn.add under a dispatch mode, attn.add_ without
        attn = ops.add(t, attn, mask, "masked scores")
    elif mask is not None and mask.requires_grad:
        attn = ops.add_into(t, attn, mask)
    attn = _safe_softmax(c, attn)
    attn = dropout(c, attn, drops)
    weights = ops.to(t, attn, origin_dtype, "attention weights")
    shape: Shape = (*query.shape[:3], *value.shape[3:])
    out = ops.to(t, batched(c, attn, values, shape, "attention output"), origin_dtype, "attention output")
    del weights
    return out


def _repeated(t: Tape, x: Value, shape: Shape) -> Value:
    """repeat_interleave of one key head to all that share it."""
    return ops.expand_copy(t, x, (*shape[:3], *x.shape[3:]))


def _safe_softmax(c: Context, x: Value) -> Value:
    """at::_safe_softmax: rows that are masked throughout become zeros; the CPU's storages show its result alone."""
    t = c.tape
    if c.structure.device == "cpu":
        return ops.softmax(t, x)
    inner = t.allocate(x.shape, x.dtype, "softmax"), t.allocate(x.shape, "bool", "masked")
    out = ops.softmax(t, x)
    del inner
    return out


def _causal_mask(t: Tape, dtype: str) -> Value:
    """at::ones({L, S}, bool).tril(), then convert_boolean_attn_mask."""
    ones = t.allocate(("S", "S"), "bool", "causal mask")
    lower = t.allocate(("S", "S"), "bool", "causal mask")
    del ones
    mask = t.allocate(("S", "S"), dtype, "causal mask")
    del lower
    return mask


# -- weights that a layer returns beside its hidden states -----------------------------------------------------------


def holds_returned_weights(c: Context, hidden_states: Value, shape: Shape, dtype: str) -> Value:
    """The hidden states as a layer that returns attention weights gets them when reentrant checkpointing recomputes it.

    CheckpointFunction.backward is handed zeros as the gradient of those weights, and holds them to its end.
    """
    t = c.tape
    if c.structure.checkpointing != "reentrant" or not t.grad_enabled:
        return hidden_states
    zeros = t.allocate(shape, dtype, "zeros for returned weights")

    def backward(grad: Value, *kept: Value) -> ops.Grads:
        return (ops.same(grad),)

    contiguous = hidden_states.contiguous
    return t.op(
        "view",
        hidden_states.shape,
        hidden_states.dtype,
        [hidden_states],
        backward,
        [zeros],
        False,
        hidden_states,
        contiguous,
    )


def keep_returned_weights(c: Context, given: Value, weights: Value | None) -> None:
    """CheckpointFunction.backward holds what it has recomputed to its end: here, as long as its input's node."""
    if weights is not None and c.structure.checkpointing == "reentrant" and c.tape.grad_enabled:
        assert given.node is not None
        given.node.saved.append(c.tape.pack(weights))


def returned_weights(c: Context, weights: Value) -> Value:
    """Attention weights that the layer returns: under reentrant checkpointing zeros are added to their gradient."""
    if c.structure.checkpointing != "reentrant" or not c.tape.grad_enabled:
        return weights

    def backward(grad: Value) -> ops.Grads:
        return (c.tape.allocate(grad.shape, grad.dtype, "grad sum") if c.tape.observed else ops.same(grad),)

    return c.tape.op("view", weights.shape, weights.dtype, [weights], backward, view=weights)
