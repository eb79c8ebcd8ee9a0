"""Operators of recurrent mixers on a tape: slices of a sequence of chunks, padding, triangular solves, convolutions.

What each saves and allocates backward is that of torch 2.13's derivatives.yaml and FunctionsManual.cpp.
"""

from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.live import Shape
from planner.memory.ops import Grads, same
from planner.memory.tape import Tape


def pad(t: Tape, x: Value, shape: Shape) -> Value:
    """F.pad: a new tensor, also where nothing is padded; backward another."""
    before = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(before, grad.dtype, "pad grad"),)

    return t.op("padded", shape, x.dtype, [x], backward, contiguous=x.contiguous)


def sum_last(t: Tape, x: Value) -> Value:
    """x.sum(-1, keepdim=True): backward expands the gradient without a copy."""
    whole = x.shape

    def backward(grad: Value) -> Grads:
        return (Value(grad.storage, whole, grad.dtype, contiguous=False),)

    return t.op("sum", (*whole[:-1], 1), x.dtype, [x], backward)


def cumsum(t: Tape, x: Value) -> Value:
    """cumsum: backward flips, sums up and flips back."""

    def backward(grad: Value) -> Grads:
        flipped = t.allocate(grad.shape, grad.dtype, "cumsum grad")
        summed = t.allocate(grad.shape, grad.dtype, "cumsum grad")
        out = t.allocate(grad.shape, grad.dtype, "cumsum grad")
        del flipped, summed
        return (out,)

    return t.op("cumsum", x.shape, x.dtype, [x], backward)


def outer_difference(t: Tape, x: Value, shape: Shape, label: str) -> Value:
    """``x.unsqueeze(-1) - x.unsqueeze(-2)``: backward negates the whole for the second, then sums both."""

    def backward(grad: Value) -> Grads:
        return (same(grad), t.allocate(shape, grad.dtype, "neg grad"))

    return t.op(label, shape, x.dtype, [x, x], backward)


def sub(t: Tape, a: Value, b: Value, label: str) -> Value:
    """a - b: backward passes the gradient on, and its negative."""

    def backward(grad: Value) -> Grads:
        return (same(grad), t.allocate(grad.shape, grad.dtype, "neg grad"))

    return t.op(label, a.shape, a.dtype, [a, b], backward)


def masked_fill(t: Tape, x: Value, mask: Value, label: str) -> Value:
    """masked_fill: saves the mask; backward fills the gradient with zeros in a new tensor."""

    def backward(grad: Value, mask: Value) -> Grads:
        return (t.allocate(grad.shape, grad.dtype, "masked grad"),)

    return t.op(label, x.shape, x.dtype, [x], backward, [mask])


def exp(t: Tape, x: Value, label: str = "exp") -> Value:
    """exp: saves its result."""

    def backward(grad: Value, result: Value) -> Grads:
        return (t.allocate(result.shape, result.dtype, "exp grad"),)

    return t.op(label, x.shape, x.dtype, [x], backward, save_output=True, contiguous=x.contiguous)


def solve_triangular(t: Tape, a: Value, b: Value, label: str) -> Value:
    """torch.linalg.solve_triangular: saves the system and the solution (linalg_solve_triangular_backward)."""

    batch, rows, columns = a.shape[:-2], a.shape[-1:], b.shape[-1:]

    def backward(grad: Value, a: Value, solution: Value) -> Grads:
        t.work.moves(grad, a, solution)
        t.work.product(grad.dtype, whole(solution, solution, a), batch, rows, rows, columns)
        t.work.moves(a, a)
        t.work.moves(a, a)
        of_b = t.allocate(solution.shape, grad.dtype, "solve grad")
        product = t.allocate(a.shape, grad.dtype, "system grad")
        negative = t.allocate(a.shape, grad.dtype, "system grad")
        del product
        of_a = t.allocate(a.shape, grad.dtype, "system grad")
        del negative
        return (of_a, of_b)

    return t.op(label, b.shape, b.dtype, [a, b], backward, [a], save_output=True)


def copy_slice(t: Tape, base: Value, value: Value) -> Value:
    """``base[:, :, i] = value`` (CopySlices): backward clones the whole gradient and the slice's."""
    whole, shape, wanted = base.shape, value.shape, base.requires_grad

    def backward(grad: Value) -> Grads:
        result = t.allocate(whole, grad.dtype, "copy-slices grad")
        of_value = t.allocate(shape, grad.dtype, "slice grad")
        if wanted:
            t.allocate(shape, grad.dtype, "zeros")
        return (result, of_value)

    moved = ((shape, base.dtype),) * 2
    return t.op("copy_", whole, base.dtype, [base, value], backward, view=base, kind="elementwise", moved=moved)


def depthwise_conv(t: Tape, x: Value, weight: Value, bias: Value | None, shape: Shape) -> Value:
    """F.conv1d with groups: saves input and weight (convolution_backward)."""
    inputs = [x, weight] + ([bias] if bias is not None else [])
    wanted = [(v.shape, v.dtype) if v.requires_grad else None for v in inputs]
    product, moved = (shape[:1], shape[1:2], shape[2:], weight.shape[1:]), (*whole(*inputs), (shape, x.dtype))

    def backward(grad: Value, *saved: Value) -> Grads:
        t.work.note("convolution", grad.dtype, moved, (product,) * sum(of is not None for of in wanted[:2]))
        return tuple(t.allocate(*of, "conv grad") if of else None for of in wanted)

    saves = [x, weight]
    return t.op("conv1d", shape, x.dtype, inputs, backward, saves, kind="convolution", products=(product,), moved=moved)


def view_copied_back(t: Tape, x: Value, shape: Shape) -> Value:
    """A view whose gradient comes in another layout and is copied to be viewed back."""
    before = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(before, grad.dtype, "gradient viewed back"),)

    return t.op("view", shape, x.dtype, [x], backward, view=x, contiguous=False)
