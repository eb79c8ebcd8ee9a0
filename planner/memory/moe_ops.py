"""Operators of mixtures of experts on a tape: selection by index, top-k, grouped and batched products of stacks."""

from planner.memory.graph import Value
from planner.memory.kernels import whole
from planner.memory.live import Shape
from planner.memory.ops import Grads, to
from planner.memory.tape import Tape


def gather(t: Tape, x: Value, index: Value, shape: Shape, label: str) -> Value:
    """x[index]: saves the index; backward (index_backward) puts the gradient into zeros, in a new tensor."""
    before = x.shape

    def backward(grad: Value, index: Value) -> Grads:
        zeros = t.allocate(before, grad.dtype, "zeros")
        out = t.allocate(before, grad.dtype, "index grad")
        del zeros
        return (out,)

    return t.op(label, shape, x.dtype, [x], backward, [index])


def gather_rows(t: Tape, x: Value, index: Value) -> Value:
    """x[index] of a stack: one row for each entry of the index."""
    return gather(t, x, index, (*index.shape, *x.shape[1:]), "biases by expert")


def add_in_place(t: Tape, x: Value, bias: Value | None) -> Value:
    """``out.add_(bias)``, or nothing without one: saves nothing."""
    if bias is None:
        return x

    def backward(grad: Value) -> Grads:
        return (grad.detach(), grad.detach())

    return t.op("with bias", x.shape, x.dtype, [x, bias], backward, view=x, kind="elementwise")


def topk(t: Tape, x: Value, shape: Shape) -> tuple[Value, Value]:
    """topk: values and indices, which are saved; backward scatters into zeros."""
    before = x.shape

    def backward(grad: Value, indices: Value) -> Grads:
        zeros = t.allocate(before, grad.dtype, "zeros")
        out = t.allocate(before, grad.dtype, "top-k grad")
        del zeros
        return (out,)

    indices = t.allocate(shape, "int64", "top-k indices")
    return t.op("top-k values", shape, x.dtype, [x], backward, [indices]), indices


def gather_along(t: Tape, x: Value, index: Value, shape: Shape) -> Value:
    """x.gather(dim, index): saves both; backward adds the gradient into zeros, in a new tensor where observed."""

    def backward(grad: Value, x: Value, index: Value) -> Grads:
        out = t.allocate(x.shape, grad.dtype, "gather grad")
        if t.observed:
            zeros, out = out, t.allocate(x.shape, grad.dtype, "gather grad")
            del zeros
        return (out,)

    return t.op("gathered", shape, x.dtype, [x], backward, [x, index])


def scatter_in_place(t: Tape, values: Value, index: Value, shape: Shape) -> Value:
    """``full_like(...).scatter_(dim, index, values)``: saves the index; backward gathers the gradient."""
    before = values.shape

    def backward(grad: Value, index: Value) -> Grads:
        return (t.allocate(before, grad.dtype, "gathered grad"),)

    return t.op("scattered", shape, values.dtype, [values], backward, [index])


def divide_in_place(t: Tape, x: Value) -> Value:
    """``x /= x.sum(-1, keepdim=True)``: saves the sum and a copy of what x was."""
    shape = x.shape

    def backward(grad: Value, total: Value, before: Value) -> Grads:
        return (t.allocate(shape, grad.dtype, "div grad"),)

    total = t.allocate((*shape[:-1], 1), x.dtype, "top-k sum")
    before = t.allocate(shape, x.dtype, "top-k copy")
    return t.op("top-k values", shape, x.dtype, [x], backward, [total, before], view=x, kind="elementwise")


def permute(t: Tape, x: Value, shape: Shape) -> Value:
    """A reshape and permutation without copy; backward has to copy the gradient back into order."""
    before = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(before, grad.dtype, "clone"),)

    return t.op("permuted", shape, x.dtype, [x], backward, view=x, contiguous=False)


def baddbmm(t: Tape, weight: Value, lhs: Value, rhs: Value, label: str) -> Value:
    """torch.baddbmm(W, lhs, rhs, alpha): saves both factors; backward makes and scales the gradient of each."""
    shapes = (lhs.shape, rhs.shape)
    rank = (len(lhs.shape) + len(rhs.shape) - len(weight.shape) - 1) // 2
    experts, out, k, inner = lhs.shape[:1], lhs.shape[1:-rank], rhs.shape[1 : 1 + rank], rhs.shape[1 + rank :]

    def backward(grad: Value, lhs: Value, rhs: Value) -> Grads:
        t.work.product(grad.dtype, whole(grad, rhs, lhs), experts, out, k, inner)
        t.work.product(grad.dtype, whole(grad, lhs, rhs), experts, k, inner, out)
        return (None, *(_scaled(t, shape, grad.dtype) for shape in shapes))

    inputs, products = [weight, lhs, rhs], ((experts, out, inner, k),)
    return t.op(label, weight.shape, weight.dtype, inputs, backward, [lhs, rhs], kind="matmul", products=products)


def _scaled(t: Tape, shape: Shape, dtype: str) -> Value:
    product = t.allocate(shape, dtype, "bmm grad")
    t.work.moves(product, product)
    out = t.allocate(shape, dtype, "scaled grad")
    del product
    return out


def grouped_mm(t: Tape, x: Value, weight: Value, shape: Shape) -> Value:
    """_grouped_linear: torch.nn.functional.grouped_mm in the weight's dtype; a gradient of the whole stack."""
    x = to(t, x, weight.dtype, "grouped product input")
    saves = ([x] if weight.requires_grad else []) + ([weight] if x.requires_grad else [])
    shapes, wanted, dtype = (x.shape, weight.shape), (x.requires_grad, weight.requires_grad), weight.dtype
    rows, inner, of_x, of_weight = x.shape[:3], x.shape[3:], (x.shape, dtype), (weight.shape, dtype)
    out = shape[3:]

    def backward(grad: Value, *saved: Value) -> Grads:
        given = (grad.shape, grad.dtype)
        if wanted[0]:
            t.work.product(dtype, (given, of_weight, of_x), (), rows, inner, out)
        if wanted[1]:
            t.work.product(dtype, (given, of_x, of_weight), (), out, inner, rows)
        return tuple(
            t.allocate(s, dtype, "grouped product grad") if w else None for s, w in zip(shapes, wanted, strict=True)
        )

    products = (((), rows, out, inner),)
    return t.op("grouped product", shape, dtype, [x, weight], backward, saves, kind="matmul", products=products)


def sum_pairs(t: Tape, x: Value, shape: Shape) -> Value:
    """view(tokens, top_k, hidden).sum(dim=1): backward expands the gradient and copies it to view it back."""
    before = x.shape

    def backward(grad: Value) -> Grads:
        return (t.allocate(before, grad.dtype, "expanded grad"),)

    return t.op("sum over experts", shape, x.dtype, [x], backward)
