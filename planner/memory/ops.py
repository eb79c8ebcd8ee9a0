"""Operations on a tape: what each allocates in forward, saves, and allocates in backward.

Each function names the torch operator it stands for; what is saved and computed backward is that of torch 2.13's
tools/autograd/derivatives.yaml and torch/csrc/autograd/FunctionsManual.cpp. Storages that live only inside a backward
expression are held in locals until it returns, as C++ temporaries are until the end of the full expression.
"""

from collections.abc import Callable, Sequence

from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.tape import Tape

Grads = tuple[Value | None, ...]
BackwardFunction = Callable[..., Grads]


def same(value: Value) -> Value:
    """Another handle on the same storage, as a gradient passed on unchanged."""
    return value.detach()


def view(t: Tape, x: Value, shape: Shape, contiguous: bool = True) -> Value:
    """A view of another shape: view, transpose, unsqueeze, expand without copy. Backward views the gradient back."""
    before, was = x.shape, x.contiguous

    def backward(grad: Value) -> Grads:
        return (Value(grad.storage, before, grad.dtype, contiguous=was),)

    return t.op("view", shape, x.dtype, [x], backward, view=x, contiguous=contiguous)


def narrow(t: Tape, x: Value, shape: Shape) -> Value:
    """A slice of `x`. Backward (slice_backward): zeros of the whole shape, the gradient copied in."""
    whole = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(whole, grad.dtype, "slice grad"),)

    return t.op("slice", shape, x.dtype, [x], backward, view=x, contiguous=False)


def split(t: Tape, x: Value, shapes: Sequence[Shape]) -> list[Value]:
    """split, chunk, unbind: views. Backward concatenates the gradients, with zeros for the missing ones."""
    whole = x.shape

    def backward(*grads: Value | None) -> Grads:
        zeros = [t.allocate(s, x_dtype, "zeros") for g, s in zip(grads, shapes, strict=True) if g is None]
        out = t.allocate(whole, x_dtype, "split grad")
        del zeros
        return (out,)

    x_dtype = x.dtype
    node = t.record([x], backward)
    if node is not None:
        node.num_outputs = len(shapes)
    return [
        Value(x.storage, s, x.dtype, node is not None, node, contiguous=False, index=i) for i, s in enumerate(shapes)
    ]


def copy(t: Tape, x: Value, shape: Shape | None = None, label: str = "copy") -> Value:
    """contiguous(), clone() or a reshape that has to copy. Backward passes the gradient on (as a view)."""
    before = x.shape

    def backward(grad: Value) -> Grads:
        return (Value(grad.storage, before, grad.dtype, contiguous=grad.contiguous),)

    return t.op(label, shape or x.shape, x.dtype, [x], backward)


def reshape(t: Tape, x: Value, shape: Shape) -> Value:
    """reshape: a view where the layout allows, else a copy."""
    return view(t, x, shape) if x.contiguous else copy(t, x, shape)


def expand_copy(t: Tape, x: Value, shape: Shape) -> Value:
    """expand and reshape, as repeat_kv does: a copy of the larger shape; backward sums the gradient back."""
    before = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(before, grad.dtype, "sum grad"),)

    return t.op("repeat_kv", shape, x.dtype, [x], backward)


def expand_view(t: Tape, x: Value, shape: Shape) -> Value:
    """expand and reshape where the layout allows a view (one key head for all); backward sums the gradient back."""
    before = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(before, grad.dtype, "sum grad"),)

    return t.op("repeat_kv", shape, x.dtype, [x], backward, view=x, contiguous=False)


def to(t: Tape, x: Value, dtype: str, label: str = "to") -> Value:
    """Tensor.to(dtype): the same tensor where nothing changes, else a copy (ToCopyBackward casts back)."""
    if x.dtype == dtype:
        return x
    before = x.dtype

    def backward(grad: Value) -> Grads:
        if grad.dtype == before:
            return (grad,)
        out = t.allocate(grad.shape, before, "to grad")
        out.contiguous = grad.contiguous
        return (out,)

    return t.op(f"{label} {dtype}", x.shape, dtype, [x], backward, contiguous=x.contiguous)


def promote(a: str, b: str) -> str:
    """torch.result_type for the dtypes here."""
    if a == b:
        return a
    if "float32" in (a, b):
        return "float32"
    return a if b in ("bool", "int64") else b


def add(t: Tape, a: Value, b: Value, label: str = "add") -> Value:
    """a + b with broadcasting of b: saves nothing; backward passes the same gradient to both."""

    def backward(grad: Value) -> Grads:
        return (same(grad), same(grad))

    out_shape = a.shape if b.shape == a.shape or len(b.shape) <= len(a.shape) else b.shape
    return t.op(label, out_shape, promote(a.dtype, b.dtype), [a, b], backward, contiguous=a.contiguous)


def subtract(t: Tape, a: Value, b: Value, label: str = "subtract") -> Value:
    """a - b with broadcasting of b: saves nothing; backward passes the gradient to a, and its negative to b."""
    wanted = b.requires_grad

    def backward(grad: Value) -> Grads:
        return (same(grad), t.allocate(grad.shape, grad.dtype, "negative grad") if wanted else None)

    return t.op(label, a.shape, promote(a.dtype, b.dtype), [a, b], backward, contiguous=a.contiguous)


def add_into(t: Tape, a: Value, b: Value) -> Value:
    """a += b: no new tensor; backward passes the same gradient to both."""

    def backward(grad: Value) -> Grads:
        return (same(grad), same(grad))

    return t.op("added", a.shape, a.dtype, [a, b], backward, view=a, contiguous=a.contiguous, kind="elementwise")


def add_constant(t: Tape, a: Value, label: str = "add", dtype: str | None = None) -> Value:
    """a + number (or a tensor without gradient, of `dtype`): a new tensor, nothing saved."""

    def backward(grad: Value) -> Grads:
        return (grad,)

    out = promote(a.dtype, dtype or a.dtype)
    return t.op(label, a.shape, out, [a], backward, contiguous=a.contiguous)


def mul(t: Tape, a: Value, b: Value, label: str = "mul", shape: Shape | None = None) -> Value:
    """a * b: saves b where a needs a gradient and a where b does; both products before broadcasts are summed."""
    saves = ([b] if a.requires_grad else []) + ([a] if b.requires_grad else [])
    both = (a.requires_grad, b.requires_grad)
    out_shape = shape or a.shape

    def backward(grad: Value, *saved: Value) -> Grads:
        return tuple(t.allocate(out_shape, grad.dtype, "mul grad") if wanted else None for wanted in both)

    return t.op(label, out_shape, promote(a.dtype, b.dtype), [a, b], backward, saves, contiguous=a.contiguous)


def scale(t: Tape, a: Value, label: str = "scale") -> Value:
    """a * number, -a: a new tensor; backward a new gradient."""

    def backward(grad: Value) -> Grads:
        out = t.allocate(grad.shape, grad.dtype, "scale grad")
        out.contiguous = grad.contiguous
        return (out,)

    return t.op(label, a.shape, a.dtype, [a], backward, contiguous=a.contiguous)


def clamp(t: Tape, x: Value, view: Value | None = None, limits: int = 2) -> Value:
    """x.clamp(min, max): saves x; clamp_backward compares it with each of the `limits`, then selects."""

    def backward(grad: Value, x: Value) -> Grads:
        inside = [t.allocate(x.shape, "bool", "within limit") for _ in range(limits)]
        out = t.allocate(x.shape, grad.dtype, "clamp grad")
        del inside
        return (out,)

    saved = x if view is None else view
    target = None if view is None else x
    return t.op("clamped", x.shape, x.dtype, [x], backward, [saved], view=target, kind="elementwise")


def clamp_in_place(t: Tape, x: Value) -> Value:
    """x.clamp_(min, max): saves a copy of what x was."""
    if not (t.grad_enabled and x.requires_grad):
        return x
    return clamp(t, x, t.allocate(x.shape, x.dtype, "unclamped copy"))


def scale_in_place(t: Tape, a: Value) -> Value:
    """``a *= buffer of one element``: backward a new gradient."""

    def backward(grad: Value) -> Grads:
        return (t.allocate(grad.shape, grad.dtype, "scale grad"),)

    return t.op("scaled", a.shape, a.dtype, [a], backward, view=a, kind="elementwise")


def square(t: Tape, x: Value) -> Value:
    """x.pow(2): saves x; pow_backward: grad * (2 * x.pow(1)), three tensors at once."""

    def backward(grad: Value, x: Value) -> Grads:
        power = t.allocate(x.shape, x.dtype, "pow")
        double = t.allocate(x.shape, x.dtype, "pow")
        out = t.allocate(x.shape, x.dtype, "pow grad")
        del power, double
        return (out,)

    return t.op("pow", x.shape, x.dtype, [x], backward, [x], contiguous=x.contiguous)


def mean_last(t: Tape, x: Value, width: int = 1) -> Value:
    """x.mean(-1, keepdim=True) over the last `width` symbols: backward expands and divides, one full tensor."""
    whole = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(whole, grad.dtype, "mean grad"),)

    return t.op("mean", (*x.shape[:-width], 1), x.dtype, [x], backward)


def rsqrt(t: Tape, x: Value) -> Value:
    """rsqrt: saves its result."""

    def backward(grad: Value, result: Value) -> Grads:
        return (t.allocate(result.shape, result.dtype, "rsqrt grad"),)

    return t.op("rsqrt", x.shape, x.dtype, [x], backward, save_output=True)


def unary(t: Tape, x: Value, name: str, saves_output: bool = False) -> Value:
    """A fused elementwise activation (silu, gelu, relu): saves its input, or its output (relu, tanh)."""

    def backward(grad: Value, saved: Value) -> Grads:
        out = t.allocate(saved.shape, saved.dtype, f"{name} grad")
        out.contiguous = saved.contiguous
        return (out,)

    saves = [] if saves_output else [x]
    return t.op(name, x.shape, x.dtype, [x], backward, saves, save_output=saves_output, contiguous=x.contiguous)


def dropout(t: Tape, x: Value) -> Value:
    """native_dropout in training: a copy and a mask. On the CPU the mask has x's dtype scale; see dropout_cpu."""
    mask = t.allocate(x.shape, "bool", "dropout mask")

    def backward(grad: Value, mask: Value) -> Grads:
        return (t.allocate(grad.shape, grad.dtype, "dropout grad"),)

    return t.op("dropout", x.shape, x.dtype, [x], backward, [mask])


def softmax(t: Tape, x: Value, dtype: str | None = None) -> Value:
    """softmax(dim=-1, dtype=...): saves its result; a cast input is a tensor of its own."""
    cast = to(t, x, dtype, "softmax input") if dtype else x

    def backward(grad: Value, result: Value) -> Grads:
        return (t.allocate(result.shape, result.dtype, "softmax grad"),)

    return t.op("softmax", cast.shape, cast.dtype, [cast], backward, save_output=True, kind="softmax")


def cat(t: Tape, parts: Sequence[Value], shape: Shape, label: str = "cat") -> Value:
    """cat: one new tensor; backward hands out views of the gradient."""
    shapes = [p.shape for p in parts]

    def backward(grad: Value) -> Grads:
        return tuple(Value(grad.storage, s, grad.dtype, contiguous=False) for s in shapes)

    return t.op(label, shape, parts[0].dtype, parts, backward)
