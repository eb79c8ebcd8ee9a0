"""LitGPT's own modules on a tape: linears with adapters, one projection of q, k and v, attention.

Mirrors litgpt 0.4 lora.py and model.py; lit-gpt of October 2023 differs where a switch says so. Linears are called by
the names that transformers gives them; those of q, k and v are one here.
"""

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.linear_ops import dense, dropout
from planner.memory.live import Shape
from planner.memory.modules import Context, base_linear, fused_attention, rotary
from planner.memory.tape import Tape

HIDDEN: Shape = ("hidden",)
QUERIES: Shape = ("B", "heads", "S", "head_dim")
KEYS: Shape = ("B", "kv_heads", "S", "head_dim")
WIDTHS: dict[str, Shape] = {"q": ("heads", "head_dim"), "k": ("kv_heads", "head_dim"), "v": ("kv_heads", "head_dim")}
_PAIRS: dict[str, Shape] = {"qk": ("q_and_kv_width",), "qv": ("q_and_kv_width",), "kv": ("kv_width",)}
_APART = ("q_proj", "k_proj", "v_proj")


# -- linears ---------------------------------------------------------------------------------------------------------


def linear(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """LoRALinear.forward: ``linear(x) + (dropout(x) @ A.T @ B.T) * scaling``."""
    t, s = c.tape, c.structure
    before, t.scope = t.scope, f"{name}: "
    pretrained = base_linear(c, x, name, out, inner)
    if name in s.adapted:
        a = c.parameter(f"{name}.lora_A", ("r", *inner), True, s.adapter_dtype_of(name))
        b = c.parameter(f"{name}.lora_B", (*out, "r"), True, s.adapter_dtype_of(name))
        lora = ops.scale(t, dense(t, dense(t, _dropped(c, x), a, None, ("r",)), b, None, out))
        pretrained = ops.add(t, pretrained, lora, "adapted output")
    t.scope = before
    return pretrained


def qkv_linear(c: Context, x: Value) -> Value:
    """LoRAQKVLinear.forward: one projection, and the adapters of those of q, k and v that have one."""
    t, s = c.tape, c.structure
    name = s.block.roles.mixer[0]
    before, t.scope = t.scope, "attn.attn: "
    pretrained = base_linear(c, x, name, ("qkv_width",), HIDDEN)
    parts = adapted_parts(c)
    if parts:
        width = adapted_width(parts)
        a = c.parameter("attn.attn.lora_A", (len(parts), "r", *HIDDEN), True, s.adapter_dtype_of(name))
        after_a = dense(t, _dropped(c, x), a, None, (len(parts), "r"))
        after_b = _conv1d(c, after_a, parts, width)
        lora = ops.scale(t, _zero_pad(c, after_b, width) if len(parts) < 3 else after_b)
        pretrained = ops.add(t, pretrained, lora, "adapted output")
    t.scope = before
    return pretrained


def adapted_parts(c: Context) -> str:
    """Which of q, k and v have adapters: "qv" by default.

    transformers may have them in one linear. Adapters on it alone stand for LitGPT's default, q and v; where all
    linears have adapters, k has too.
    """
    adapted, mixer = c.structure.adapted, c.structure.block.roles.mixer
    if len(mixer) > 2:
        return "".join(leaf[0] for leaf in _APART if any(n in adapted for n in mixer if n.endswith(leaf)))
    if mixer[0] not in adapted:
        return ""
    return "qkv" if len(adapted) > 1 else "qv"


def adapted_width(parts: str) -> Shape:
    """Outputs of the adapters: symbols of planner/memory/dims.py."""
    return ("qkv_width",) if len(parts) == 3 else _PAIRS.get(parts) or WIDTHS[parts]


def _dropped(c: Context, x: Value) -> Value:
    return dropout(c.tape, x, c.structure.device) if c.structure.adapter_dropout else x


def _conv1d(c: Context, after_a: Value, parts: str, width: Shape) -> Value:
    """LoRAQKVLinear.conv1d: a grouped convolution; where keys are narrower than queries, one each and a cat."""
    t, s = c.tape, c.structure
    dtype = s.adapter_dtype_of(s.block.roles.mixer[0])
    if not s.block.grouped or len(parts) == 1:
        b = c.parameter("attn.attn.lora_B", (*width, "r"), True, dtype)
        return _product(t, after_a, b, width)
    split = [ops.narrow(t, after_a, ("B", "S", "r")) for _ in parts]
    weights = [c.parameter(f"attn.attn.lora_B.{part}", (*WIDTHS[part], "r"), True, dtype) for part in parts]
    found = [_product(t, x, b, WIDTHS[part]) for x, b, part in zip(split, weights, parts, strict=True)]
    return ops.cat(t, found, ("B", "S", *width))


def _product(t: Tape, x: Value, weight: Value, out: Shape) -> Value:
    """A convolution of width one: saves its input, which has all ranks, and the weight, with those of one group."""
    before, dtype = x.shape, t.autocast or x.dtype
    if t.autocast:
        x = ops.to(t, x, t.autocast, "autocast")
    moved = ((before, dtype), (weight.shape, dtype), (("B", "S", *out), dtype))
    sides = (weight.shape, weight.dtype)

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        t.work.product(dtype, moved, (), ("B", "S"), ("r",), out)
        t.work.product(dtype, moved, (), out, ("r",), ("B", "S"))
        return (t.allocate(before, dtype, "conv grad"), t.allocate(*sides, "conv grad"))

    products = (((), ("B", "S"), out, ("r",)),)
    shape: Shape = ("B", "S", *out)
    return t.op(
        "after_B", shape, dtype, [x, weight], backward, [x, weight], contiguous=False, kind="matmul", products=products
    )


def _zero_pad(c: Context, x: Value, width: Shape) -> Value:
    """LoRAQKVLinear.zero_pad: index_copy into zeros of all outputs, which saves its source."""
    t, rows = c.tape, (*x.shape[:2], "qkv_width")
    result = t.allocate(rows, x.dtype, "zeros")
    source = x if c.structure.single_sequence else ops.copy(t, x, label="reshaped adapter output")
    source_shape, dtype = source.shape, source.dtype
    index = t.allocate(width, "int64", "lora_ind")

    def backward(grad: Value, index: Value, source: Value) -> ops.Grads:
        return (t.allocate(source_shape, dtype, "index_copy grad"),)

    out = t.op("padded adapter output", rows, dtype, [source], backward, [index, source])
    del result
    return out


# -- attention -------------------------------------------------------------------------------------------------------


def attention(c: Context, x: Value) -> Value:
    """CausalSelfAttention.forward.

    Keys and values are spread to all heads. Without groups reshape views the projection, so that v keeps all of it.
    """
    t, block = c.tape, c.structure.block
    qkv = qkv_linear(c, x)
    q, k, v = ops.split(t, qkv, [QUERIES, KEYS, KEYS])
    if block.grouped and not block.multi_query:
        q, k, v = ops.copy(t, q, label="queries"), ops.expand_copy(t, k, QUERIES), ops.expand_copy(t, v, QUERIES)
    elif block.multi_query and not c.structure.unspread_key:
        k, v = ops.expand_view(t, k, QUERIES), ops.expand_view(t, v, QUERIES)
    q_roped, k_roped = apply_rope(c, q), apply_rope(c, k)
    q, k = _joined(c, q_roped, q), _joined(c, k_roped, k)
    if block.multi_query and c.structure.unspread_key:
        y = _math_attention(c, q, k, v)
    else:
        y = fused_attention(t, q, k, v, None, True)
    y = ops.view(t, y, ("B", "S", "heads", "head_dim"))
    output = c.structure.block.roles.mixer[-1]
    return linear(c, y, output, HIDDEN, ("heads", "head_dim"))


def apply_rope(c: Context, x: Value) -> Value:
    """apply_rope on ``x[..., :rope_n_elem]``: in float32 as the tables are, then cast back."""
    t = c.tape
    turned = ops.narrow(t, x, (*x.shape[:-1], "rotary_dim"))
    table = t.external((1, "S", "rotary_dim"), "float32")
    return ops.to(t, rotary(c, turned, table), x.dtype, "rotated")


def _joined(c: Context, roped: Value, x: Value) -> Value:
    """``torch.cat((roped, x[..., rope_n_elem:]), dim=-1)``: a copy where all of a head is turned, too."""
    rest = ops.narrow(c.tape, x, (*x.shape[:-1], "rest_dim"))
    return ops.cat(c.tape, (roped, rest), x.shape, "joined")


def _math_attention(c: Context, q: Value, k: Value, v: Value) -> Value:
    """scaled_dot_product_attention of torch 2.1 with one key for all heads, which no fused kernel took.

    _scaled_dot_product_attention_math (ATen/native/transformers/attention.cpp): in 16 bits, the mask added in place.
    """
    t = c.tape
    scores: Shape = ("B", "heads", "S", "S")
    q, k = ops.scale(t, q, "scaled query"), ops.scale(t, k, "scaled key")
    ones = t.allocate(("S", "S"), "bool", "causal mask")
    mask = t.allocate(("S", "S"), q.dtype, "causal mask")
    del ones
    attn = _of_all_heads(c, q, k, scores, "scores")
    attn = ops.softmax(t, attn)
    y = _of_all_heads(c, attn, v, QUERIES, "attention output")
    del mask
    return ops.copy(t, y, ("B", "S", "heads", "head_dim"), "attention output")


def _of_all_heads(c: Context, a: Value, b: Value, shape: Shape, label: str) -> Value:
    """torch.matmul with b expanded to all heads: copied but for a single sequence. Its gradient has all heads first."""
    t, before = c.tape, b.shape
    spread: Shape = (*a.shape[:2], *b.shape[2:])
    if not c.structure.single_sequence:
        b = ops.expand_copy(t, b, spread)
    sides, dtype, spreads = (a.shape, b.shape), a.dtype, b.shape != spread

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        first = t.allocate(sides[0], dtype, "matmul grad")
        second = t.allocate(spread, dtype, "matmul grad")
        if spreads:
            second = t.allocate(before, dtype, "sum grad")
        return (first, second)

    size = (*shape[:2],), ("S",), shape[3:], a.shape[3:]
    return t.op(label, shape, dtype, [a, b], backward, [a, b], kind="matmul", products=(size,))
