"""Rotary positions as complex numbers on a tape (transformers 5.23 models/deepseek_v2 and llama4)."""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.modules import Context
from planner.memory.tape import Tape

HALF = "half_rotary_dim"


def table(c: Context) -> None:
    """Position ids, and freqs_cis [1, S, rotary_dim / 2] complex, which all layers share."""
    t = c.tape
    c.forward_only.append(t.allocate(("S",), "int64", "position ids"))
    c.tables.append(t.allocate(("S", HALF), "complex64", "rotary_emb: freqs_cis", "activations"))


def apply_rotary_emb(c: Context, xq: Value, xk: Value, together: bool = False) -> tuple[Value, Value]:
    """apply_rotary_emb: float32 pairs seen as complex numbers, times freqs_cis, and back.

    together: both are rotated before either is cast back, as llama4 does.
    """
    t = c.tape
    freqs_cis = t.external((1, "S", HALF), "complex64")
    xq_, xk_ = as_complex(t, ops.to(t, xq, "float32")), as_complex(t, ops.to(t, xk, "float32"))
    xq_out = as_real(t, times(t, xq_, freqs_cis), xq.shape)
    if not together:
        xq_out = ops.to(t, xq_out, xq.dtype)
    xk_out = ops.to(t, as_real(t, times(t, xk_, freqs_cis), xk.shape), xk.dtype)
    return ops.to(t, xq_out, xq.dtype), xk_out


def as_complex(t: Tape, x: Value) -> Value:
    """view_as_complex(x.reshape(..., -1, 2)); backward is view_as_real of the contiguous gradient."""
    before, was = x.shape, x.contiguous

    def backward(grad: Value) -> ops.Grads:
        return (Value(grad.storage, before, "float32", contiguous=was),)

    return t.op("view", (*before[:-1], HALF), "complex64", [x], backward, view=x, contiguous=was)


def as_real(t: Tape, x: Value, shape: Shape) -> Value:
    """view_as_real(x).flatten(3); backward is view_as_complex of the gradient, copied where it is not contiguous."""
    before = x.shape

    def backward(grad: Value) -> ops.Grads:
        if not grad.contiguous:
            return (t.allocate(before, "complex64", "contiguous grad"),)
        return (Value(grad.storage, before, "complex64"),)

    return t.op("view", shape, "float32", [x], backward, view=x, contiguous=x.contiguous)


def times(t: Tape, x: Value, freqs_cis: Value) -> Value:
    """x * freqs_cis: saves the table; backward multiplies with its conjugate, which is made for it."""

    def backward(grad: Value, table: Value) -> ops.Grads:
        conjugate = t.allocate(table.shape, table.dtype, "conjugate")
        out = t.allocate(grad.shape, grad.dtype, "rotated grad")
        del conjugate
        return (out,)

    return t.op("rotated", x.shape, x.dtype, [x], backward, [freqs_cis], contiguous=x.contiguous)
