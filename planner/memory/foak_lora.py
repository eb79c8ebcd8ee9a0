"""Quantized linears with LoRA as fms-acceleration fuses them: one autograd function for q, k and v, for o, for an MLP.

Source: fms-acceleration-foak 0.4 fused_ops/unsloth_lora: bnb/fast_lora.py and gptq/fast_lora.py (LoRA_QKV, LoRA_W,
LoRA_MLP), utils.py and swiglu.py; which modules they replace: models/utils.py trigger_fused_ops. Each saves its input
and what dropout made of it for every linear, and adds what LoRA makes into the base's output. bitsandbytes' version
writes the input's gradient over the saved input. No function notes its work (taped.py).
"""

from dataclasses import dataclass

from planner.memory import ops
from planner.memory.graph import Node, Value
from planner.memory.linear_ops import rows_of
from planner.memory.live import Shape
from planner.memory.modules import Context, linear
from planner.memory.quantized_linear import dequantized

QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
O_PROJ = "self_attn.o_proj"
MLP = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


def fuses(c: Context, *names: str) -> bool:
    """Whether these linears run in one function: all with LoRA, and quantized as the functions read it."""
    s = c.structure
    if names[0].partition(".")[0] not in s.patched or s.kind != "lora":
        return False
    if not all(name in s.adapted and name in s.quantized for name in names):
        return False
    return s.quantization == "gptq" or (s.quantization == "bnb_4bit" and s.double_quant)


def attention_projections(c: Context, x: Value, outs: tuple[Shape, ...], inner: Shape) -> tuple[Value, ...]:
    """Queries, keys and values: by LoRA_QKV where it runs, else by three linears."""
    if not fuses(c, *QKV):
        return tuple([linear(c, x, name, out, inner) for name, out in zip(QKV, outs, strict=True)])
    linears = [_linear_of(c, name, out, inner) for name, out in zip(QKV, outs, strict=True)]

    def backward(*given: Value) -> ops.Grads:
        grads, (x, *dropped) = given[:3], given[3:]
        factors = _factor_grads(c, linears, grads)
        total = None if _is_gptq(c) else ops.same(x)
        for one, grad, own in zip(linears, grads, dropped, strict=True):
            total = _input_grad(c, one, grad, own, total, over=one is linears[0])
        return (total, *factors)

    node = _record(c, x, linears, backward)
    held = [_weight(c, one, x.dtype) if _is_gptq(c) else None for one in linears]
    made = [_product(c, one, x, weight) for one, weight in zip(linears, held, strict=True)]
    held.clear()
    outputs, dropped = [out for out, _ in made], [own for _, own in made]
    _save(c, node, outputs, [x, *dropped])
    return tuple(outputs)


def output_projection(c: Context, x: Value, out: Shape, inner: Shape) -> Value:
    """The attention's output projection: by LoRA_W where it runs, else by a linear."""
    if not fuses(c, O_PROJ):
        return linear(c, x, O_PROJ, out, inner)
    one = _linear_of(c, O_PROJ, out, inner)

    def backward(grad: Value, x: Value, dropped: Value) -> ops.Grads:
        factors = _factor_grads(c, [one], [grad])
        return (_input_grad(c, one, grad, dropped, None), *factors)

    node = _record(c, x, [one], backward)
    held = _weight(c, one, x.dtype) if _is_gptq(c) else None
    result, dropped = _product(c, one, x, held)
    del held
    _save(c, node, [result], [x, dropped])
    return result


def gated_mlp(c: Context, x: Value, width: Shape, hidden: Shape) -> Value:
    """LoRA_MLP: backward writes what it makes of gate and up over their outputs."""
    t = c.tape
    gate, up = (_linear_of(c, name, width, hidden) for name in MLP[:2])
    down = _linear_of(c, MLP[2], hidden, width)

    def backward(grad: Value, x: Value, e: Value, g: Value, *dropped: Value) -> ops.Grads:
        gate_x, up_x, down_x = dropped
        held = _down_grad(c, down, grad, down_x)
        factors = _factor_grads(c, [gate, up, down], [g, e, grad])
        total = _input_grad(c, up, e, up_x, None if _is_gptq(c) else ops.same(x), over=True)
        total = _input_grad(c, gate, g, gate_x, total)
        del held
        return (total, *factors)

    node = _record(c, x, [gate, up, down], backward)
    held = [_weight(c, gate, x.dtype) if _is_gptq(c) else None]
    e, gate_x = _product(c, gate, x, held[-1])
    held.append(_weight(c, up, x.dtype) if _is_gptq(c) else None)
    g, up_x = _product(c, up, x, held[-1])
    h = t.allocate(e.shape, e.dtype, "act*up")
    held.append(_weight(c, down, x.dtype) if _is_gptq(c) else None)
    result, down_x = _product(c, down, h, held[-1])
    held.clear()
    _save(c, node, [result], [x, e, g, gate_x, up_x, down_x])
    return result


# -- one linear of a function ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Linear:
    """W [out, inner], and its factors as leaves."""

    out: Shape
    inner: Shape
    a: Value
    b: Value


def _linear_of(c: Context, name: str, out: Shape, inner: Shape) -> _Linear:
    dtype = c.structure.adapter_dtype_of(name)
    a = c.parameter(f"{name}.lora_A", ("r", *inner), True, dtype)
    return _Linear(out, inner, a, c.parameter(f"{name}.lora_B", (*out, "r"), True, dtype))


def _is_gptq(c: Context) -> bool:
    return c.structure.quantization == "gptq"


def _weight(c: Context, one: _Linear, dtype: str) -> Value:
    """fast_dequantize or dequant248."""
    weight: Shape = (*one.out, *one.inner)
    return c.tape.allocate(weight, dtype, "dequantized weight") if _is_gptq(c) else dequantized(c, weight, dtype)


def _product(c: Context, one: _Linear, x: Value, weight: Value | None) -> tuple[Value, Value]:
    """matmul_lora: the output, and what dropout made of the input; a weight that is given outlives it."""
    t = c.tape
    own = _weight(c, one, x.dtype) if weight is None else None
    out = t.allocate((*rows_of(x.shape, one.inner), *one.out), x.dtype, "output")
    del own
    dropped = x
    if c.structure.adapter_dropout:
        mask = t.allocate(x.shape, "bool", "dropout mask")
        dropped = t.allocate(x.shape, x.dtype, "dropout")
        del mask
    added = _of_factors(c, one, out.shape, x.dtype)
    del added
    return out, dropped


def _of_factors(c: Context, one: _Linear, shape: Shape, dtype: str) -> Value:
    """What goes through both factors, cast to the input's dtype."""
    t = c.tape
    first = t.allocate(("r", *one.inner), dtype, "lora_A")
    between = t.allocate((*shape[:2], "r"), dtype, "lora_A output")
    del first
    second = t.allocate((*one.out, "r"), dtype, "lora_B")
    added = t.allocate(shape, dtype, "lora_B output")
    del between, second
    return added


def _factor_grads(c: Context, linears: list[_Linear], grads: "list[Value] | tuple[Value, ...]") -> list[Value | None]:
    """Gradients of all factors, in the gradient's dtype."""
    t, made = c.tape, []
    for one, grad in zip(linears, grads, strict=True):
        for leaf in (one.a, one.b):
            between = t.allocate(("B", "S", "r"), grad.dtype, "between factors")
            made.append(t.allocate(leaf.shape, grad.dtype, "adapter grad"))
            del between
    return [*made]


def _input_grad(
    c: Context, one: _Linear, grad: Value, dropped: Value, total: Value | None, over: bool = False
) -> Value:
    """``dX += dY @ W.t()`` and ``dX += (X != 0) * (dY @ B @ A)``; over: the first product is written over `total`."""
    t = c.tape
    weight = _weight(c, one, grad.dtype)
    product = t.allocate(dropped.shape, grad.dtype, "linear grad") if total is None or not over else None
    total = product if total is None else total
    product = None
    del weight
    mask = t.allocate(dropped.shape, "bool", "kept inputs")
    added = _of_factors(c, one, dropped.shape, grad.dtype)
    masked = t.allocate(dropped.shape, grad.dtype, "kept inputs' grad")
    del added, mask
    del masked
    assert total is not None
    return total


def _down_grad(c: Context, down: _Linear, grad: Value, dropped: Value) -> list[Value]:
    """``matmul_lora(dY, downW.t(), ..., dropout=(downX != 0))``, whose result the kernel writes h over.

    It lives until backward returns, and so does GPTQ's weight.
    """
    t = c.tape
    early = [_weight(c, down, grad.dtype)] if _is_gptq(c) else []
    mask = t.allocate(dropped.shape, "bool", "kept inputs")
    weight = None if early else _weight(c, down, grad.dtype)
    made = t.allocate(dropped.shape, grad.dtype, "act*up grad")
    del weight
    added = _of_factors(c, down, dropped.shape, grad.dtype)
    del added, mask
    return [*early, made]


# -- the graph -------------------------------------------------------------------------------------------------------


def _record(c: Context, x: Value, linears: list[_Linear], backward: ops.BackwardFunction) -> Node | None:
    return c.tape.record([x, *[leaf for one in linears for leaf in (one.a, one.b)]], backward)


def _save(c: Context, node: Node | None, outputs: list[Value], saved: list[Value]) -> None:
    if node is None:
        return
    node.num_outputs = len(outputs)
    for index, out in enumerate(outputs):
        out.requires_grad, out.node, out.index = True, node, index
    node.saved += [c.tape.pack(value) for value in saved]
