"""Modules on a tape: linear layers with adapters and 4-bit weights, norms, rotary embedding, attention kernels.

Each mirrors the forward of the library's own module, expression by expression, so that temporaries live as long here
as they do there.
"""

from planner.memory import foak, linear_ops, ops
from planner.memory.adapters import adapted
from planner.memory.graph import Value
from planner.memory.kernels import Moved, whole
from planner.memory.linear_ops import autocast, dense, matmul_linear
from planner.memory.live import Shape
from planner.memory.quantized_linear import quantized_linear
from planner.memory.structure import Structure
from planner.memory.tape import Tape

TOKENS: Shape = ("B", "S")


class Context:
    """A tape, the switches it runs under, and the tensors that all layers share.

    tables: saved by the layers' graphs. forward_only: locals of the model's forward, which only a checkpoint keeps.
    model_locals: those that nothing keeps after it has returned. outputs: what the training loop names through
    backward. part: what tells parameters of one name apart (those of each expert).
    """

    def __init__(self, tape: Tape, structure: Structure):
        self.tape, self.structure = tape, structure
        tape.autocast = structure.autocast
        tape.observed = structure.device == "cpu"
        self.hidden_dtype = self.stream_dtype = structure.kept_dtype
        self.cos = tape.external((1, "S", "rotary_dim"), self.hidden_dtype)
        self.tables: list[Value] = []
        self.forward_only: list[Value] = []
        self.model_locals: list[Value] = []
        self._earlier: list[tuple[list[Value], list[Value]]] = []
        self.outputs: list[Value] = []
        self.part = ""
        self.mask = self._mask()

    def leave_stack(self) -> None:
        """A stack of layers has run and its forward returned: what its layers or their checkpoints hold stays."""
        self.model_locals.clear()
        if self.structure.checkpointing == "none":
            self.forward_only.clear()

    def start_stack(self) -> None:
        """Another stack begins, with masks and tables of its own."""
        self._earlier.append((self.tables, self.forward_only))
        self.tables, self.forward_only = [], []

    def end_stack_backward(self) -> None:
        """The backward of a stack is over: nothing holds its masks and tables any more."""
        self.tables, self.forward_only = self._earlier.pop() if self._earlier else ([], [])

    def _mask(self) -> Value | None:
        """The mask that sdpa is given: with padding, or in a layer with a window that the sequence fills.

        Flash attention is told of the window by a number (transformers 5.23 masking_utils.py flash_attention_mask).
        """
        if self.structure.mask == "padded":
            return self.tape.external(("B", 1, "S", "S"), "bool")
        flash = self.structure.attention == "flash_attention_2"
        if self.structure.window_mask and self.structure.block.sliding and not flash:
            return self.tape.external(("B", 1, "S", "S"), "bool")
        return None

    def parameter(self, name: str, shape: Shape, trainable: bool | None = None, dtype: str | None = None) -> Value:
        """A weight that is no 4-bit linear: counted with the weights, its gradient here."""
        s = self.structure
        wanted = s.train_base if trainable is None else trainable
        return self.tape.external(shape, dtype or s.kept_dtype, wanted, leaf=name + self.part)

    def norm_parameter(self, name: str, shape: Shape) -> Value:
        """A norm's weight or bias."""
        return self.parameter(name, shape, dtype="float32" if self.structure.wide_norms else None)


# -- linear ----------------------------------------------------------------------------------------------------------


def linear(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """The linear `name` of the block: W [out, inner]; quantized and adapted as the structure says."""
    before, c.tape.scope = c.tape.scope, f"{name}: "
    try:
        if name in c.structure.adapted:
            return adapted(c, x, name, out, inner, base_linear)
        return base_linear(c, x, name, out, inner)
    finally:
        c.tape.scope = before


def base_linear(c: Context, x: Value, name: str, out: Shape, inner: Shape) -> Value:
    """The same without its adapter."""
    if name in c.structure.quantized:
        return quantized_linear(c, x, name, out, inner)
    weight = c.parameter(f"{name}.weight", (*out, *inner))
    b = c.parameter(f"{name}.bias", out) if name in c.structure.block.biased else None
    if c.structure.block.matmul_linears:
        return matmul_linear(c.tape, x, weight, b, out)
    return dense(c.tape, x, weight, b, out)


# -- norms -----------------------------------------------------------------------------------------------------------


def rms_norm(c: Context, x: Value, name: str, width: Shape = ("hidden",)) -> Value:
    """LlamaRMSNorm.forward (transformers 5.23): float32 inside, the weight applied in the input's dtype."""
    if "norms" in c.structure.patched:
        return foak.rms_norm(c, x, name, width)
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.norm_parameter(f"{name}.weight", width)
    hidden_states = x
    input_dtype = hidden_states.dtype
    del x
    hidden_states = ops.to(t, hidden_states, "float32")
    variance = ops.mean_last(t, ops.square(t, hidden_states), len(width))
    hidden_states = ops.mul(t, hidden_states, ops.rsqrt(t, ops.add_constant(t, variance)), "normalized")
    out = ops.mul(t, ops.to(t, hidden_states, input_dtype), weight, "normalized and scaled")
    t.scope = before
    return out


# -- rotary embedding and attention ----------------------------------------------------------------------------------


def rotary(c: Context, x: Value, cos: Value | None = None, sin: Value | None = None) -> Value:
    """``(x * cos) + (rotate_half(x) * sin)`` of apply_rotary_pos_emb; by default with tables that all layers share."""
    if "rotary" in c.structure.patched:
        return foak.rotary(c, x)
    t, cos = c.tape, cos or c.cos
    return ops.add(t, ops.mul(t, x, cos, "x*cos"), ops.mul(t, rotate_half(t, x), sin or cos, "rotated*sin"), "rotated")


def rotate_half(t: Tape, x: Value) -> Value:
    half = (*x.shape[:-1], "half_rotary_dim")
    x1 = ops.narrow(t, x, half)
    x2 = ops.narrow(t, x, half)
    return ops.cat(t, (ops.scale(t, x2, "-x2"), x1), x.shape)


def sdpa_attention(c: Context, query: Value, key: Value, value: Value, grouped: bool) -> Value:
    """sdpa_attention_forward: K and V are repeated for a mask or wide heads, else stay grouped (use_gqa_in_sdpa).

    So do MistralFlashAttention2 and MixtralFlashAttention2 of transformers before 4.48 for all.
    """
    t = c.tape
    if grouped and (c.mask is not None or c.structure.block.wide_heads or c.structure.repeats_keys):
        key, value = repeat_kv(c, key, query.shape), repeat_kv(c, value, query.shape)
    if t.autocast:
        query, key, value = autocast(t, query), autocast(t, key), autocast(t, value)
    skips = c.mask is None or c.structure.attention == "flash_attention_2"
    out = fused_attention(t, query, key, value, additive_mask(c, query.dtype), skips)
    # the CPU kernel lays its output out like the queries (empty_like), CUDA's as [B, S, heads, head_dim]
    if c.structure.device == "cpu" and query.contiguous:
        return ops.copy(t, out, ("B", "S", *query.shape[1:2], *value.shape[3:]), "attention output")
    return ops.view(t, out, ("B", "S", *query.shape[1:2], *value.shape[3:]))


def additive_mask(c: Context, dtype: str) -> Value | None:
    """convert_boolean_attn_mask of scaled_dot_product_attention: a bool mask is cast to q's dtype, layer by layer."""
    if c.mask is None:
        return None
    return c.tape.allocate(c.mask.shape, dtype, "attention mask")


def fused_attention(
    t: Tape, query: Value, key: Value, value: Value, mask: Value | None = None, skips: bool = False
) -> Value:
    """Flash attention: saves q, k, v, the mask, the output and one float32 a query and head (log-sum-exp).

    A mask with a gradient has one of all scores (CUDA's efficient attention), which is then summed to its shape.
    skips: the kernel is told of the causal order or a window and leaves out what they mask.
    """
    shapes = [query.shape, key.shape, value.shape]
    dtype = query.dtype
    out_shape = (*query.shape[:3], *value.shape[3:])
    masks = [] if mask is None else [mask]
    if mask is not None and mask.requires_grad:
        shapes.append((*query.shape[:3], key.shape[2]))
    inputs = [query, key, value, *masks][: len(shapes)]
    sizes = (query.shape[:2], query.shape[2:3], _all_keys(key.shape[2:3]), query.shape[3:], value.shape[3:])
    node = t.record(inputs, _fused_backward(t, shapes, dtype, sizes, skips), [query, key, value, *masks])
    _note_attention(t, dtype, (*whole(*inputs[:3], *masks), (out_shape, dtype)), sizes, skips)
    out = t.allocate(out_shape, dtype, "attention output")
    out.contiguous = False  # laid out as [B, S, heads, head_dim]
    logsumexp = t.allocate(query.shape[:3], "float32", "attention log-sum-exp")
    if node is not None:
        out.requires_grad, out.node = True, node
        node.saved += [t.pack(out), t.pack(logsumexp)]
    return out


#: Of attention: sequences and heads, queries, keys, width of queries and keys, width of values.
AttentionSizes = tuple[Shape, Shape, Shape, Shape, Shape]


def _fused_backward(
    t: Tape, shapes: list[Shape], dtype: str, sizes: AttentionSizes, skips: bool
) -> "ops.BackwardFunction":
    def backward(grad: Value, *saved: Value) -> ops.Grads:
        given = whole(grad, *saved)
        _note_attention(t, dtype, (*given, *((shape, dtype) for shape in shapes)), sizes, skips, backward=True)
        return tuple(t.allocate(s, dtype, "attention grad") for s in shapes)

    return backward


def _note_attention(
    t: Tape, dtype: str, moved: Moved, sizes: AttentionSizes, skips: bool, backward: bool = False
) -> None:
    """Two products; in backward five, as the scores are made again (torch.utils.flop_counter sdpa_flop_count)."""
    batch, queries, keys, width, values = sizes
    scores, output = (batch, queries, keys, width), (batch, queries, values, keys)
    products = (scores,) * 3 + (output,) * 2 if backward else (scores, output)
    t.work.note("attention", dtype, moved, products, skips=skips)


def _all_keys(keys: Shape) -> Shape:
    """Where devices share a sequence, each meets its queries with the keys of all of it."""
    return ("S_whole",) if keys == ("S",) else keys


def softcapped(t: Tape, x: Value, label: str) -> Value:
    """Gemma 2's ``x / cap``, tanh, ``x * cap``: three tensors, of which the tanh's is saved."""
    x = ops.scale(t, x, f"{label} / cap")
    x = ops.unary(t, x, f"tanh {label}", saves_output=True)
    x = ops.scale(t, x, f"{label} * cap")
    return x


def repeat_kv(c: Context, x: Value, shape: Shape) -> Value:
    """repeat_kv: [B, kv_heads, S, d] copied to [B, heads, S, d]; a view of stride 0 where there is one key head."""
    repeated = (*shape[:3], *x.shape[3:])
    if c.structure.block.multi_query:
        return ops.expand_view(c.tape, x, repeated)
    return ops.expand_copy(c.tape, x, repeated)


def batched_matmul(c: Context, a: Value, b: Value, shape: Shape, label: str) -> Value:
    """torch.matmul of 4-D tensors: folded into bmm, with copies where a transposed layout cannot be folded."""
    t = c.tape
    if t.autocast:
        a, b = autocast(t, a), autocast(t, b)
    if not (a.contiguous and b.contiguous) and not c.structure.single_sequence:
        a = a if a.contiguous else ops.copy(t, a, label="matmul copy")
        b = b if b.contiguous else ops.copy(t, b, label="matmul copy")
    return linear_ops.matmul(t, a, b, shape, label)
