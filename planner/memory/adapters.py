"""Adapted linears on a tape: LoRA, DoRA, AdaLoRA and (IA)^3 as PEFT 0.21 computes them."""

from collections.abc import Callable
from typing import Protocol

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.linear_ops import dense, dropout
from planner.memory.live import Shape
from planner.memory.structure import Structure
from planner.memory.tape import Tape


class Context(Protocol):
    """What an adapter needs of planner.memory.modules.Context."""

    tape: Tape
    structure: Structure

    def parameter(self, name: str, shape: Shape, trainable: bool | None = None, dtype: str | None = None) -> Value:
        """A weight that is counted elsewhere."""


#: The linear without its adapter.
Base = Callable[..., Value]

#: Quantizations whose PEFT layer asks torch.is_autocast_enabled(), which speaks of CUDA's autocast only, and then
#: casts neither input nor output.
_ASK_AUTOCAST = ("bnb_4bit", "bnb_8bit", "awq", "hqq")
#: Those whose layer casts what LoRA adds before it is added.
_CAST_FIRST = ("bnb_4bit", "bnb_8bit", "awq")


def adapted(c: Context, x: Value, name: str, out: Shape, inner: Shape, base: Base) -> Value:
    """PEFT 0.21 lora.Linear.forward, and those of lora.bnb, lora.gptq, lora.awq and lora.hqq."""
    t, s = c.tape, c.structure
    if s.kind == "ia3":
        return _ia3(c, x, name, out, inner, base)
    result = base(c, x, name, out, inner)
    kind = s.quantization if name in s.quantized else ""
    expected = result.dtype
    converts = not (kind in _ASK_AUTOCAST and t.autocast and s.device == "cuda")
    if kind == "bnb_4bit":
        result = ops.copy(t, result, label="defensive clone")
    if converts:
        x = ops.to(t, x, s.adapter_dtype_of(name), "adapter input")
    if s.kind == "dora":
        return _dora(c, x, result, name, out, inner, expected if converts else None)
    if s.kind == "adalora":
        return ops.add_into(t, result, _adalora(c, x, name, out, inner))
    output = ops.scale(t, _lora(c, x, name, out, inner))
    if kind in _CAST_FIRST:
        if converts:
            output = ops.to(t, output, expected, "adapter output")
        return ops.add(t, result, output, "adapted output")
    result = ops.add(t, result, output, "adapted output")
    return ops.to(t, result, expected, "adapted output") if converts else result


def _lora(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """lora_B(lora_A(dropout(x)))."""
    t, s = c.tape, c.structure
    a = c.parameter(f"{name}.lora_A", ("r", *inner), True, s.adapter_dtype_of(name))
    b = c.parameter(f"{name}.lora_B", (*out, "r"), True, s.adapter_dtype_of(name))
    if s.adapter_dropout:
        return _linear_module(t, _linear_module(t, dropout(t, x, s.device), a, ("r",)), b, out)
    return _linear_module(t, _linear_module(t, x, a, ("r",)), b, out)


def _linear_module(t: Tape, x: Value, weight: Value, out: Shape) -> Value:
    """nn.Linear called as a module: its input lives until it returns."""
    return dense(t, x, weight, None, out)


def _adalora(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """adalora SVDLinear.forward: ``(dropout(x) @ (lora_A * lora_E).T @ lora_B.T) * scaling / ranknum``."""
    t, s = c.tape, c.structure
    a = c.parameter(f"{name}.lora_A", ("r", *inner), True, s.adapter_dtype_of(name))
    b = c.parameter(f"{name}.lora_B", (*out, "r"), True, s.adapter_dtype_of(name))
    e = c.parameter(f"{name}.lora_E", ("r", 1), True, s.adapter_dtype_of(name))
    if s.adapter_dropout:
        x = dropout(t, x, s.device)
    scaled = ops.mul(t, a, e, "A * E", ("r", *inner))
    hidden = dense(t, x, scaled, None, ("r",))
    return _over_ranknum(c, ops.scale(t, dense(t, hidden, b, None, out)), name)


def _over_ranknum(c: Context, x: Value, name: str) -> Value:
    """``x / (ranknum + 1e-5)``: x is saved where ranknum has a gradient.

    That comes first (torch 2.13 DivBackward0), and its temporaries live to the end of the expression
    ``-grad * ((self / other) / other)`` (FunctionsManual.cpp div_tensor_other_grad).
    """
    t, shape = c.tape, x.shape
    if not c.structure.trains_ranknum(name):
        return ops.scale(t, x, "/ ranknum")
    ranknum = c.parameter(f"{name}.ranknum", (1,), True, c.structure.adapter_dtype_of(name))

    def backward(grad: Value, x: Value) -> ops.Grads:
        temporaries = [t.allocate(shape, grad.dtype, "ranknum grad") for _ in range(3)]
        of_ranknum = t.allocate(shape, grad.dtype, "ranknum grad")
        del temporaries
        return (t.allocate(shape, grad.dtype, "quotient grad"), of_ranknum)

    return t.op("/ ranknum", shape, x.dtype, [x, ranknum], backward, [x])


def _ia3(c: Context, x: Value, name: str, out: Shape, inner: Shape, base: Base) -> Value:
    """ia3 Linear.forward: the input of a feedforward module, or the output of another, times a learned vector."""
    t, s = c.tape, c.structure
    given = x.dtype
    if name in s.feedforward:
        vector = ops.scale(t, c.parameter(f"{name}.ia3_l", inner, True, s.adapter_dtype_of(name)), "1 * vector")
        x = ops.to(t, x, s.adapter_dtype_of(name), "adapter input")
        interm = ops.to(t, ops.mul(t, x, vector, "x * vector"), given, "scaled input")
        return base(c, interm, name, out, inner)
    vector = ops.scale(t, c.parameter(f"{name}.ia3_l", out, True, s.adapter_dtype_of(name)), "1 * vector")
    result = base(c, x, name, out, inner)
    return ops.to(t, ops.mul(t, result, vector, "output * vector"), result.dtype, "scaled output")


def _dora(c: Context, x: Value, result: Value, name: str, out: Shape, inner: Shape, expected: str | None) -> Value:
    """lora DoraLinearVariant.forward and DoraLinearLayer.forward: the weight's norm anew in every forward."""
    t, s = c.tape, c.structure
    a = c.parameter(f"{name}.lora_A", ("r", *inner), True, s.adapter_dtype_of(name))
    b = c.parameter(f"{name}.lora_B", (*out, "r"), True, s.adapter_dtype_of(name))
    magnitude = c.parameter(f"{name}.magnitude", out, True, s.adapter_dtype_of(name))
    if s.adapter_dropout:
        x = dropout(t, x, s.device)
    square = t.allocate((*inner, *inner), s.adapter_dtype_of(name), "identity")
    small = dense(t, Value(square.storage, (1, *inner, *inner), s.adapter_dtype_of(name)), a, None, ("r",))
    small.shape = (1, *inner, "r")
    lora_weight = dense(t, small, b, None, out)
    lora_weight.shape = (1, *inner, *out)
    del square, small
    lora_weight = ops.to(t, lora_weight, x.dtype, "lora weight")
    weight = _whole_weight(c, name, (*out, *inner), x.dtype)
    _norm(t, (*out, *inner), x.dtype)
    scale = _magnitude_scale(t, magnitude, out)
    lora_result = dense(t, dense(t, x, a, None, ("r",)), b, None, out)
    if s.adapter_dropout:
        base_result = dense(t, x, weight, None, out)
    elif name in s.block.biased:
        base_result = ops.add_constant(t, result, "output - bias")
    else:
        base_result = result
    first = ops.mul(t, ops.add_constant(t, scale, "scale - 1"), base_result, "magnitude * output", base_result.shape)
    second = ops.scale(t, ops.mul(t, scale, lora_result, "magnitude * lora", lora_result.shape))
    dora = ops.add(t, first, second, "adapted output")
    del lora_weight, weight, first, second, lora_result, base_result, scale
    total = ops.add(t, result, dora, "adapted output")
    return ops.to(t, total, expected, "adapted output") if expected else total


def _whole_weight(c: Context, name: str, shape: Shape, dtype: str) -> Value:
    """dequantize_module_weight(base_layer).to(x.dtype): the parameter itself where nothing changes."""
    t, s = c.tape, c.structure
    if name in s.quantized:
        return ops.to(t, t.allocate(shape, s.dtype, "dequantized weight"), dtype, "base weight")
    return ops.to(t, t.external(shape, s.kept_dtype), dtype, "base weight")


def _norm(t: Tape, shape: Shape, dtype: str) -> None:
    """get_weight_norm: ``weight + scaling * lora_weight`` and its norm, none of which is kept."""
    scaled = t.allocate(shape, dtype, "scaled lora weight")
    total = t.allocate(shape, dtype, "weight + lora weight")
    del scaled, total


def _magnitude_scale(t: Tape, magnitude: Value, out: Shape) -> Value:
    """magnitude / weight_norm: saves the norm, which a new tensor of its size stands for."""
    norm = t.allocate(out, magnitude.dtype, "weight norm")

    def backward(grad: Value, norm: Value) -> ops.Grads:
        return (t.allocate(out, grad.dtype, "magnitude grad"),)

    return t.op("magnitude / norm", out, magnitude.dtype, [magnitude], backward, [norm])
