"""Linears with quantized weights on a tape: what each library's forward and backward allocate and save."""

from typing import Protocol

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.linear_ops import rows_of
from planner.memory.live import Shape
from planner.memory.structure import Structure
from planner.memory.tape import Tape


class Context(Protocol):
    """What a linear needs of planner.memory.modules.Context."""

    tape: Tape
    structure: Structure

    def parameter(self, name: str, shape: Shape) -> Value:
        """A weight that is counted elsewhere."""


#: Methods whose product saves its input, though no gradient needs it.
SAVES_INPUT = ("awq", "hqq")


def quantized_linear(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """The linear `name`, W [out, inner], as its quantization keeps it."""
    method = c.structure.quantization
    if method == "bnb_4bit":
        return _linear_4bit(c, x, name, out, inner)
    if method == "bnb_8bit":
        return _linear_8bit(c, x, name, out, inner)
    return _linear_grouped(c, x, out, inner)


def _linear_4bit(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """bitsandbytes 0.50 Linear4bit.forward and MatMul4Bit, which autocast does not touch; dequantizes in backward.

    Before 0.43 the context held the input as an attribute (``ctx.tensors = (A, B)``), which no checkpoint's hook sees.
    """
    t, s = c.tape, c.structure
    given = x.dtype
    x = ops.to(t, x, s.compute_dtype, "4-bit input")
    weight: Shape = (*out, *inner)
    b = ops.to(t, c.parameter(f"{name}.bias", out), s.compute_dtype) if name in c.structure.block.biased else None
    shape = (*rows_of(x.shape, inner), *out)
    before = x.shape
    held = x.detach() if s.holds_4bit_input else Value(None, before, x.dtype)

    def backward(grad: Value) -> ops.Grads:
        dense_weight = dequantized(c, weight, grad.dtype)
        _note_input_grad(t, grad, held.shape, out, inner)
        result = t.allocate(held.shape, grad.dtype, "linear grad")
        del dense_weight
        return (result,)

    node = t.record([x], backward)
    if node is not None and s.keeps_graph and s.holds_4bit_input:
        t.carry(held)
    # on the CPU the whole product is one operator, whose inner tensors are no storages of torch
    dense_weight = dequantized(c, weight, x.dtype) if s.device == "cuda" else None
    _note_output(t, x, out, inner)
    y = t.allocate(shape, x.dtype, "output")
    del dense_weight, b
    if node is not None:
        y.requires_grad, y.node = True, node
    return ops.to(t, y, given, "4-bit output")


def dequantized(c: Context, weight: Shape, dtype: str) -> Value:
    """dequantize_4bit: block constants restored from their second quantization, then the dense weight, cast."""
    t, s = c.tape, c.structure
    made = "float16" if s.halves_weights else s.dtype
    constants: Shape = (*weight, "per_64")
    absmax = t.allocate(constants, "float32", "block constants") if s.double_quant else None
    if absmax is not None:
        t.work.note("dequantize", "float32", ((constants, "uint8"), (constants, "float32")))
    t.work.note("dequantize", made, (_codes(weight), (constants, "float32"), (weight, made)))
    dense_weight = t.allocate(weight, made, "dequantized weight")
    del absmax
    return ops.to(t, dense_weight, dtype)


def _linear_8bit(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """bitsandbytes 0.50 Linear8bitLt.forward and MatMul8bitLt (autograd/_functions.py), without outlier columns.

    The context holds the input as an attribute, which a checkpoint's hooks do not see: it stays until backward.
    """
    t, weight = c.tape, (*out, *inner)
    dtype, rows, before = x.dtype, rows_of(x.shape, inner), x.shape
    shape = (*rows, *out)
    held = x.detach()

    def backward(grad: Value) -> ops.Grads:
        t.work.note("dequantize", dtype, (_codes(weight), (weight, dtype)))
        dense_weight = t.allocate(weight, dtype, "dequantized weight")
        _note_input_grad(t, grad, held.shape, out, inner)
        result = t.allocate(held.shape, dtype, "linear grad")
        del dense_weight
        return (result,)

    node = t.record([x], backward)
    half = ops.to(t, x.detach(), "float16", "8-bit input")
    t.work.note("elementwise", "uint8", ((before, "float16"), (before, "uint8")))
    t.work.product("int8", ((before, "uint8"), (weight, "uint8"), (shape, "float32")), (), rows, out, inner)
    codes = t.allocate(before, "uint8", "8-bit input")
    del half
    if c.structure.device == "cuda":
        products = t.allocate(shape, "float32", "int32 products")  # of the same size
        y = t.allocate(shape, "float16", "output")
        del products
        y = ops.to(t, y, dtype, "output")
    else:
        y = t.allocate(shape, dtype, "output")  # one operator on the CPU
    del codes
    if node is not None:
        y.requires_grad, y.node = True, node
    return y


def _linear_grouped(c: Context, x: Value, out: Shape, inner: Shape) -> Value:
    """GPTQ, AWQ and HQQ: the weight dequantized to 16 bits for the product, in forward and again in backward.

    GPTQ (auto_gptq 0.7 triton_utils/kernels.py QuantLinearFunction, gptqmodel the same) saves no activation; AWQ
    (autoawq 0.2 gemm.py WQLinearMMFunction) and HQQ (hqq 0.2 HQQMatmulNoCacheMul) save their input.
    """
    t, s = c.tape, c.structure
    given = x.dtype
    dtype = s.compute_dtype if s.quantization == "hqq" or s.compute_dtype != "float32" else "float16"
    x = ops.to(t, x, dtype, "quantized input")
    weight, before = (*out, *inner), x.shape

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        t.work.note("dequantize", dtype, (_codes(weight), (weight, dtype)))
        dense_weight = t.allocate(weight, dtype, "dequantized weight")
        _note_input_grad(t, grad, before, out, inner)
        result = t.allocate(before, dtype, "linear grad")
        del dense_weight
        return (result,)

    node = t.record([x], backward, [x] if s.quantization in SAVES_INPUT else [])
    t.work.note("dequantize", dtype, (_codes(weight), (weight, dtype)))
    dense_weight = t.allocate(weight, dtype, "dequantized weight")
    _note_output(t, x, out, inner)
    y = t.allocate((*rows_of(x.shape, inner), *out), dtype, "output")
    del dense_weight
    if node is not None:
        y.requires_grad, y.node = True, node
    return y if t.autocast else ops.to(t, y, given, "output")


# -- kernels ---------------------------------------------------------------------------------------------------------


def _codes(weight: Shape) -> tuple[Shape, str]:
    """Quantized values: so many bits a weight."""
    return (*weight, "weight_bits", "per_8"), "uint8"


def _note_output(t: Tape, x: Value, out: Shape, inner: Shape) -> None:
    """x times the dequantized weight."""
    rows = rows_of(x.shape, inner)
    moved = ((x.shape, x.dtype), ((*out, *inner), x.dtype), ((*rows, *out), x.dtype))
    t.work.product(x.dtype, moved, (), rows, out, inner)


def _note_input_grad(t: Tape, grad: Value, x: Shape, out: Shape, inner: Shape) -> None:
    """The gradient times the dequantized weight; no weight has a gradient."""
    moved = ((grad.shape, grad.dtype), ((*out, *inner), grad.dtype), (x, grad.dtype))
    t.work.product(grad.dtype, moved, (), rows_of(x, inner), inner, out)
