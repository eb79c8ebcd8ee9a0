"""Matrix products on a tape, as torch.nn.functional.linear and autocast make them."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.live import Shape
from planner.memory.tape import Tape


def matmul_linear(t: Tape, x: Value, weight: Value, bias: Value | None, out: Shape) -> Value:
    """FalconLinear.forward, ``x @ W.T`` and ``+ b``: autocast casts the transposed weight anew each time."""
    if t.autocast:
        x, weight = autocast(t, x), ops.to(t, ops.view(t, weight, weight.shape), t.autocast, "autocast weight")
    hidden_states = dense(t, x, weight, None, out)
    return hidden_states if bias is None else ops.add(t, hidden_states, bias, "output")


def dense(t: Tape, x: Value, weight: Value, bias: Value | None, out: Shape) -> Value:
    """torch.nn.functional.linear: under autocast input and weight are cast first (the weight once a forward)."""
    if t.autocast:
        x, weight = autocast(t, x), autocast(t, weight)
        bias = autocast(t, bias) if bias is not None else None
    saves = ([x] if weight.requires_grad else []) + ([weight] if x.requires_grad else [])
    inputs = [x, weight] + ([bias] if bias is not None else [])
    wanted = [v.requires_grad for v in inputs]
    shapes, dtype = [v.shape for v in inputs], weight.dtype
    if not x.contiguous:
        x = ops.copy(t, x)
    inner = weight.shape[len(out) :]
    rows = rows_of(x.shape, inner)
    of_x, of_weight = (x.shape, dtype), (weight.shape, dtype)

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        if not grad.contiguous:
            t.work.moves(grad, grad)
            grad = t.allocate(grad.shape, grad.dtype, "contiguous grad")
        given = (grad.shape, grad.dtype)
        if wanted[0]:
            t.work.product(dtype, (given, of_weight, of_x), (), rows, inner, out)
        if wanted[1]:
            t.work.product(dtype, (given, of_x, of_weight), (), out, inner, rows)
        if wanted[2:] == [True]:
            t.work.note("elementwise", dtype, (given, (out, dtype)))
        return tuple(t.allocate(s, dtype, "linear grad") if w else None for s, w in zip(shapes, wanted, strict=True))

    product = ((), rows, out, inner)
    return t.op("output", (*rows, *out), dtype, inputs, backward, saves, kind="matmul", products=(product,))


def rows_of(shape: Shape, inner: Shape) -> Shape:
    """What of a linear's input counts its rows: all before its width; else batch and length."""
    return shape[: -len(inner)] if shape[-len(inner) :] == inner else shape[:2]


def matmul(
    t: Tape, x: Value, w: Value, shape: Shape, label: str = "matmul", inner: Shape = (), batched: bool = True
) -> Value:
    """x @ w: saves w where x needs a gradient and x where w does; backward makes both gradients.

    inner: what is summed over, by default the last size of x. batched: all but the last two sizes of `shape` count
    products.
    """
    saves = ([x] if w.requires_grad else []) + ([w] if x.requires_grad else [])
    wanted = (x.requires_grad, w.requires_grad)
    shapes, dtypes = (x.shape, w.shape), (x.dtype, w.dtype)
    at = len(shape) - 2 if batched else 0
    batch, m, n, k = shape[:at], shape[at:-1], shape[-1:], inner or x.shape[-1:]

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        given = whole(grad)
        if wanted[0]:
            t.work.product(grad.dtype, (*given, (shapes[1], dtypes[1]), (shapes[0], dtypes[0])), batch, m, k, n)
        if wanted[1]:
            t.work.product(grad.dtype, (*given, (shapes[0], dtypes[0]), (shapes[1], dtypes[1])), batch, k, n, m)
        return tuple(
            t.allocate(s, d, "matmul grad") if n else None for n, s, d in zip(wanted, shapes, dtypes, strict=True)
        )

    return t.op(label, shape, x.dtype, [x, w], backward, saves, kind="matmul", products=((batch, m, n, k),))


def autocast(t: Tape, x: Value) -> Value:
    """autocast's cached_cast: float32 to the low dtype; leaves that need gradients are cached until the region ends."""
    assert t.autocast is not None
    if x.dtype == t.autocast or x.dtype not in ("float32", "bfloat16", "float16"):
        return x
    if x.leaf is None or not x.requires_grad:
        return ops.to(t, x, t.autocast, "autocast")
    cached = t.cast_cache.get(x.leaf)
    if cached is None:
        cached = t.cast_cache[x.leaf] = ops.to(t, x, t.autocast, "autocast weight")
    return cached


def dropout(t: Tape, x: Value, device: str) -> Value:
    """F.dropout in training. CUDA: native_dropout saves a bool mask; CPU: a mask of x's dtype, multiplied in."""
    if device == "cuda":
        return ops.dropout(t, x)
    mask = t.allocate(x.shape, x.dtype, "dropout mask")
    return ops.mul(t, x, mask, "dropout")
