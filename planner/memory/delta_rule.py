"""The gated delta rule by chunks of 64 tokens: torch_chunk_gated_delta_rule of transformers 5.23 models/qwen3_next.

It is what runs without the package flash-linear-attention (fla).
"""

from planner.memory import linear_ops, ops, recurrent_ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.loops import DELTA_CHUNK
from planner.memory.mixer_modules import counted_as_earlier, held_by_earlier
from planner.memory.modules import Context

CHUNK = DELTA_CHUNK
QUERIES: Shape = ("B", "value_heads", "S", "k_dim")
VALUES: Shape = ("B", "value_heads", "S", "v_dim")
STEPS: Shape = ("B", "value_heads", "S")
CHUNKS: Shape = ("B", "value_heads", "chunks", CHUNK)
STATE: Shape = ("B", "value_heads", "k_dim", "v_dim")


def chunk_gated_delta_rule(c: Context, query: Value, key: Value, value: Value, g: Value, beta: Value) -> Value:
    """The core attention output, [B, S, value_heads, v_dim]."""
    t = c.tape
    initial_dtype = query.dtype
    if c.structure.block.grouped:
        repeated: Shape = ("B", "S", "value_heads", "k_dim")
        query = ops.expand_copy(t, query, repeated)
        key = ops.expand_copy(t, key, repeated)
    query, key, value, beta, decay = (
        transposed(c, x, shape)
        for x, shape in ((query, QUERIES), (key, QUERIES), (value, VALUES), (beta, STEPS), (g, STEPS))
    )
    query = l2norm(c, query)
    key = l2norm(c, key)
    query = ops.scale(t, query, "scaled query")
    query, key, value = (padded(c, x) for x in (query, key, value))
    beta, decay = (recurrent_ops.pad(t, x, CHUNKS) for x in (beta, decay))
    v_beta = ops.mul(t, value, unsqueezed(c, beta), "v*beta")
    k_beta = ops.mul(t, key, unsqueezed(c, beta), "k*beta")
    strictly_upper_mask = upper_mask(c)
    cum_decay = recurrent_ops.cumsum(t, decay)
    pairs: Shape = (*CHUNKS, CHUNK)
    pairwise_decay = recurrent_ops.outer_difference(t, cum_decay, pairs, "pairwise decay")
    pairwise_decay = recurrent_ops.masked_fill(t, pairwise_decay, strictly_upper_mask, "pairwise decay")
    pairwise_decay = recurrent_ops.exp(t, pairwise_decay, "pairwise decay")
    ut_system = ops.mul(t, product(c, k_beta, key, pairs, "k*beta @ k"), pairwise_decay, "system")
    intra_chunk_attn = ops.mul(t, product(c, query, key, pairs, "q @ k"), pairwise_decay, "attention in chunks")
    decayed_k_beta = ops.mul(t, k_beta, unsqueezed(c, recurrent_ops.exp(t, cum_decay)), "decayed k*beta")
    new_values = recurrent_ops.solve_triangular(t, ut_system, v_beta, "new values")
    k_cumdecay = recurrent_ops.solve_triangular(t, ut_system, decayed_k_beta, "decayed keys")
    state = t.allocate(STATE, "float32", "recurrent state")
    core_attn_out = t.allocate(new_values.shape, "float32", "core attention output")
    query = ops.mul(t, query, unsqueezed(c, recurrent_ops.exp(t, cum_decay)), "decayed query")
    key = ops.mul(t, key, unsqueezed(c, recurrent_ops.exp(t, to_the_end(c, cum_decay))), "decayed key")
    chunk_decay = recurrent_ops.exp(t, ops.narrow(t, cum_decay, CHUNKS[:3]), "decay of chunks")
    read = [k_cumdecay, intra_chunk_attn, chunk_decay, *([query, key] if query.contiguous else [])]
    state, core_attn_out = held_by_earlier(
        c,
        read,
        [state, core_attn_out],
        kept_by_a_chunk(query) if t.autocast is None else kept_under_autocast(t.autocast),
        lambda: without_gradient_of_state(c),
        saved=read if t.autocast is None else [chunk_decay],
    )
    del read
    for taped in range(min(c.structure.loop_passes, 2)):
        with counted_as_earlier(c, taped):
            core_attn_out, state = one_chunk(
                c, new_values, k_cumdecay, query, key, intra_chunk_attn, chunk_decay, core_attn_out, state
            )
    del state
    core_attn_out = ops.copy(t, core_attn_out, label="core attention output")
    core_attn_out = ops.narrow(t, core_attn_out, VALUES)
    return cast_back(c, core_attn_out, initial_dtype)


def without_gradient_of_state(c: Context) -> None:
    """Two products fewer in the first chunk's backward: those with the gradient of the state that it began with."""
    keys, values = ((*CHUNKS[:2], CHUNK, width) for width in ("k_dim", "v_dim"))
    dtype = c.tape.autocast or "float32"
    moved = ((values, dtype), (keys, dtype), (STATE, dtype))
    c.tape.work.product(dtype, moved, CHUNKS[:2], ("k_dim",), ("v_dim",), (CHUNK,), count=-2)


def kept_by_a_chunk(query: Value) -> list[tuple[Shape, str]]:
    """What each earlier chunk keeps that is its own: new values, the state it began with, copies for products.

    The first chunk's state is zeros without gradient: its queries are not saved.
    """
    own: list[Shape] = [("B", "value_heads", "chunks_before", CHUNK, "v_dim"), ("chunks_before", *STATE)]
    if not query.contiguous:
        own += [("B", "value_heads", number, CHUNK, "k_dim") for number in ("chunks_before", "chunks_between")]
    return [(shape, "float32") for shape in own]


def kept_under_autocast(dtype: str) -> list[tuple[Shape, str]]:
    """The same under autocast, whose products keep copies of their own: of all slices, and two of what goes into two.

    Both products with the first chunk's state need its copies alone.
    """
    values, keys, pairs = ((*CHUNKS[:2], "chunks_before", CHUNK, width) for width in ("v_dim", "k_dim", CHUNK))
    between: Shape = (*CHUNKS[:2], "chunks_between", CHUNK, "k_dim")
    state: Shape = ("chunks_before", *STATE)
    copies: list[Shape] = [state, state, values, values, pairs, keys, between, between]
    return [(state, "float32"), *((shape, dtype) for shape in copies)]


def product(c: Context, a: Value, b: Value, shape: Shape, label: str) -> Value:
    """``a @ b``, folded for bmm; autocast casts both first, anew for each product."""
    if c.tape.autocast:
        a, b = linear_ops.autocast(c.tape, a), linear_ops.autocast(c.tape, b)
    return linear_ops.matmul(c.tape, folded(c, a), folded(c, b), shape, label)


def chunk_product(c: Context, a: Value, b: Value, shape: Shape, label: str, inner: Shape = ()) -> Value:
    """``a @ b`` of slices, which bmm takes as they are."""
    if c.tape.autocast:
        a, b = linear_ops.autocast(c.tape, a), linear_ops.autocast(c.tape, b)
    return linear_ops.matmul(c.tape, a, b, shape, label, inner)


def padded(c: Context, x: Value) -> Value:
    """F.pad to whole chunks, seen as chunks: where there is nothing to pad, a clone that keeps the layout."""
    out = recurrent_ops.pad(c.tape, x, (*CHUNKS, *x.shape[3:]))
    out.contiguous = x.contiguous or not c.structure.whole_chunks
    return out


def folded(c: Context, x: Value) -> Value:
    """reshape(B * heads * chunks, ...) for bmm: a copy of what is laid out as [B, S, heads]."""
    return x if x.contiguous else ops.copy(c.tape, x, label="folded for bmm")


def of_a_chunk(c: Context, x: Value, shape: Shape) -> Value:
    """``x[:, :, i]`` for bmm."""
    chunk = ops.narrow(c.tape, x, shape)
    return chunk if x.contiguous or c.tape.autocast else ops.copy(c.tape, chunk, label="folded for bmm")


def transposed(c: Context, x: Value, shape: Shape) -> Value:
    """``x.transpose(1, 2).to(torch.float32, memory_format=contiguous)``: no copy of what is float32."""
    view = recurrent_ops.view_copied_back(c.tape, x, shape) if x.shape[2:] != shape[1:2] else ops.view(c.tape, x, shape)
    out = ops.to(c.tape, view, "float32")
    out.contiguous = view.dtype != "float32"
    return out


def cast_back(c: Context, core_attn_out: Value, dtype: str) -> Value:
    """``transpose(1, 2).to(initial_dtype, memory_format=contiguous)``."""
    t, shape = c.tape, ("B", "S", "value_heads", "v_dim")
    view = ops.view(t, core_attn_out, shape, contiguous=False)
    return ops.copy(t, view) if dtype == "float32" else ops.to(t, view, dtype, "core attention output")


def l2norm(c: Context, x: Value) -> Value:
    """l2norm of models/qwen3_next."""
    t = c.tape
    inv_norm = ops.rsqrt(t, ops.add_constant(t, recurrent_ops.sum_last(t, ops.mul(t, x, x, "square"))))
    return ops.mul(t, x, inv_norm, "normed")


def unsqueezed(c: Context, x: Value) -> Value:
    return ops.view(c.tape, x, (*x.shape, 1))


def upper_mask(c: Context) -> Value:
    """torch.ones(chunk, chunk, dtype=bool).triu(1)."""
    ones = c.tape.allocate((CHUNK, CHUNK), "bool", "mask")
    mask = c.tape.allocate((CHUNK, CHUNK), "bool", "mask")
    del ones
    return mask


def to_the_end(c: Context, cum_decay: Value) -> Value:
    """``cum_decay[..., -1:] - cum_decay``."""
    last = ops.narrow(c.tape, cum_decay, (*CHUNKS[:3], 1))

    def backward(grad: Value) -> ops.Grads:
        return (ops.same(grad), c.tape.allocate(grad.shape, grad.dtype, "neg grad"))

    return c.tape.op("decay to the end", CHUNKS, "float32", [last, cum_decay], backward)


def one_chunk(
    c: Context,
    new_values: Value,
    k_cumdecay: Value,
    query: Value,
    key: Value,
    intra_chunk_attn: Value,
    chunk_decay: Value,
    core_attn_out: Value,
    state: Value,
) -> tuple[Value, Value]:
    """One pass of the loop: the output with this chunk's rows filled in, and the next state."""
    t = c.tape
    keys: Shape = ("B", "value_heads", CHUNK, "k_dim")
    values: Shape = ("B", "value_heads", CHUNK, "v_dim")
    v_new = recurrent_ops.sub(
        t,
        ops.narrow(t, new_values, values),
        chunk_product(c, ops.narrow(t, k_cumdecay, keys), state, values, "predicted values"),
        "new values of a chunk",
    )
    inter_chunk_attn = chunk_product(c, of_a_chunk(c, query, keys), state, values, "attention to earlier chunks")
    attn = ops.narrow(t, intra_chunk_attn, ("B", "value_heads", CHUNK, CHUNK))
    filled = ops.add(t, inter_chunk_attn, chunk_product(c, attn, v_new, values, "attention in a chunk"))
    core_attn_out = recurrent_ops.copy_slice(t, core_attn_out, filled)
    del filled, inter_chunk_attn
    kept = ops.mul(t, state, ops.narrow(t, chunk_decay, ("B", "value_heads", 1, 1)), "decayed state")
    state = ops.add(
        t, kept, chunk_product(c, of_a_chunk(c, key, keys), v_new, STATE, "update", (CHUNK,)), "recurrent state"
    )
    return core_attn_out, state
