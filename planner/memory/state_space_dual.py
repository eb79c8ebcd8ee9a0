"""Mamba 2's mixer by chunks: mamba2_chunk_scan and NemotronHMamba2Mixer.forward of transformers 5.23 models/nemotron_h.

The torch code that runs without the packages mamba-ssm and causal-conv1d. `pass_tokens` are the tokens of a chunk.
"""

from planner.memory import linear_ops, mixer_modules, ops, recurrent_ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

HIDDEN: Shape = ("hidden",)
INNER: Shape = ("inner",)
PADDED: Shape = ("B", "chunks", "pass_tokens", "heads")
BY_HEAD: Shape = ("B", "heads", "chunks", "pass_tokens")
PAIRS: Shape = ("B", "heads", "chunks", "pass_tokens", "pass_tokens")
STATES: Shape = ("B", "chunks", "heads", "v_head_dim", "head_dim")
ALL_STATES: Shape = ("B", "chunks_and_one", "heads", "v_head_dim", "head_dim")


def mixer(c: Context, hidden_states: Value, name: str) -> Value:
    """NemotronHMamba2Mixer.forward."""
    t = c.tape
    dtype = hidden_states.dtype
    hidden_states = mixer_modules.without_padding(c, hidden_states)
    projected_states = linear(c, hidden_states, f"{name}.in_proj", ("in_width",), HIDDEN)
    a_log = ops.to(t, c.parameter(f"{name}.A_log", ("heads",)), "float32")
    a = ops.scale(t, recurrent_ops.exp(t, a_log))
    del a_log
    gate, mixed, dt = ops.split(
        t, projected_states, [("B", "S", *INNER), ("B", "conv_width", "S"), ("B", "S", "heads")]
    )
    has_bias = c.structure.block.conv_bias
    mixed = mixer_modules.causal_conv1d(c, mixed, f"{name}.conv1d", "conv_width", has_bias)
    mixed = mixer_modules.without_padding(c, ops.view(t, mixed, ("B", "S", "conv_width"), contiguous=False))
    grouped: Shape = ("B", "S", "groups", "head_dim")
    hidden_states, b, by_c = ops.split(t, mixed, [("B", "S", "heads", "v_head_dim"), grouped, grouped])
    scan_result = chunk_scan(c, hidden_states, dt, a, b, by_c, name)
    scan_output = gated_norm(c, ops.view(t, scan_result, ("B", "S", *INNER)), gate, f"{name}.norm")
    return linear(c, ops.to(t, scan_output, dtype, "scan output"), f"{name}.out_proj", HIDDEN, INNER)


def gated_norm(c: Context, hidden_states: Value, gate: Value, name: str) -> Value:
    """NemotronHRMSNormGated.forward: gated first, then normed by groups, all in float32."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.parameter(f"{name}.weight", INNER)
    input_dtype, shape = hidden_states.dtype, hidden_states.shape
    hidden_states = ops.to(t, hidden_states, "float32")
    hidden_states = ops.mul(t, hidden_states, ops.unary(t, ops.to(t, gate, "float32"), "silu"), "gated")
    group = ops.view(t, hidden_states, ("B", "S", "groups", "group_width"))
    variance = ops.mean_last(t, ops.square(t, group))
    group = ops.mul(t, group, ops.rsqrt(t, ops.add_constant(t, variance)), "normalized")
    hidden_states = ops.view(t, group, shape)
    out = ops.mul(t, weight, ops.to(t, hidden_states, input_dtype), "normalized and scaled", shape)
    t.scope = before
    return out


# -- the scan --------------------------------------------------------------------------------------------------------


def chunk_scan(c: Context, hidden_states: Value, dt: Value, a: Value, b: Value, by_c: Value, name: str) -> Value:
    """mamba2_chunk_scan: all names live until it returns."""
    t = c.tape
    dt = ops.add(t, dt, ops.to(t, c.parameter(f"{name}.dt_bias", ("heads",)), dt.dtype), "time step and bias")
    dt = ops.unary(t, dt, "softplus")
    dt = ops.clamp(t, dt)
    hidden_states = ops.to(t, hidden_states, "float32")
    b, by_c = (each_head(c, x) for x in (b, by_c))
    d = ops.view(t, c.parameter(f"{name}.D", ("heads",)), ("heads", 1))
    d_residual = ops.mul(t, d, padded(c, hidden_states), "D*x", (*PADDED, "v_head_dim"))
    hidden_states = ops.mul(
        t, hidden_states, ops.to(t, ops.view(t, dt, (*dt.shape, 1)), "float32", "time step"), "x*dt"
    )
    a = ops.mul(t, a, ops.to(t, dt, "float32", "time step"), "A*dt", dt.shape)
    hidden_states, a, b, by_c = [
        chunked(c, x) for chunked, x in ((in_chunks, hidden_states), (padded, a), (in_chunks, b), (in_chunks, by_c))
    ]
    a = ops.view(t, a, BY_HEAD, contiguous=False)
    a_cumsum = recurrent_ops.cumsum(t, a)
    decay_pairs = recurrent_ops.exp(t, segment_sum(c, a, PAIRS), "decay in chunks")
    g = einsum(c, ordered(c, by_c), ordered(c, b), PAIRS, "C @ B")
    m = ops.mul(t, g, decay_pairs, "decayed C @ B")
    y_diag = permuted(c, einsum(c, m, ordered(c, hidden_states), (*BY_HEAD, "v_head_dim"), "output in chunks"))
    decay_states = recurrent_ops.exp(t, to_the_end(c, a_cumsum), "decay to the end")
    b_decay = ops.mul(t, b, each_state(c, decay_states), "decayed B")
    states = einsum(c, ordered(c, hidden_states), ordered(c, b_decay), STATES, "states of chunks", ("pass_tokens",))
    states = permuted(c, states)
    previous_states = t.allocate(("B", 1, *STATES[2:]), "float32", "zeros")
    states = ops.cat(t, (states,), ALL_STATES, "states of chunks")
    decay_chunk = between_chunks(c, a_cumsum)
    new_states = einsum(c, decay_chunk, ordered(c, states), ALL_STATES, "states before chunks")
    states = sliced_and_folded(c, new_states)
    state_decay_out = recurrent_ops.exp(t, a_cumsum, "decay from the start")
    c_times_states = einsum(c, ordered(c, by_c), ordered(c, states), (*BY_HEAD, "v_head_dim"), "C @ states")
    c_times_states = permuted(c, c_times_states)
    y_off = ops.mul(t, c_times_states, each_state(c, state_decay_out), "output of earlier chunks")
    output = ops.copy(t, ops.add(t, y_diag, y_off, "output"), label="output")
    output = ops.add(t, output, d_residual, "output and D*x")
    del previous_states
    return output if c.structure.whole_chunks else ops.narrow(t, output, ("B", "S", "heads", "v_head_dim"))


def each_head(c: Context, x: Value) -> Value:
    """``x.float().repeat_interleave(...)`` of groups to heads."""
    return ops.expand_copy(c.tape, ops.to(c.tape, x, "float32"), ("B", "S", "heads", "head_dim"))


def padded(c: Context, x: Value) -> Value:
    """pad_tensor_by_size, and the view of it as chunks."""
    return recurrent_ops.pad(c.tape, x, (*PADDED, *x.shape[3:]))


def in_chunks(c: Context, x: Value) -> Value:
    """reshape_into_chunks: products by chunk and head give gradients in their own order, copied to be viewed back."""
    x = padded(c, x)
    if c.structure.loop_passes == 1:
        return x
    viewed = recurrent_ops.view_copied_back(c.tape, x, x.shape)
    viewed.contiguous = x.contiguous
    return viewed


def each_state(c: Context, x: Value) -> Value:
    """``permute(...)[..., None]``."""
    return ops.view(c.tape, x, (*x.shape, 1), contiguous=False)


def ordered(c: Context, x: Value) -> Value:
    """An operand of torch.einsum: permuted and copied to [batch, chunks, heads, ...] for bmm.

    With a single chunk what is laid out by heads can be viewed so.
    """
    t, before = c.tape, x.shape
    if not x.contiguous and c.structure.loop_passes == 1:
        return ops.view(t, x, before, contiguous=False)

    def backward(grad: Value) -> ops.Grads:
        return (Value(grad.storage, before, grad.dtype, contiguous=False),)

    return t.op("ordered for bmm", before, x.dtype, [x], backward)


def einsum(c: Context, a: Value, b: Value, shape: Shape, label: str, inner: Shape = ()) -> Value:
    """torch.einsum of ordered operands: bmm."""
    t = c.tape
    if t.autocast:
        a, b = linear_ops.autocast(t, a), linear_ops.autocast(t, b)
    return linear_ops.matmul(t, a, b, shape, label, inner)


def permuted(c: Context, x: Value) -> Value:
    """A product of torch.einsum in another order: its gradient is copied back into that of bmm."""
    return recurrent_ops.view_copied_back(c.tape, x, x.shape)


def segment_sum(c: Context, x: Value, shape: Shape) -> Value:
    """segment_sum: masked, summed up and masked again."""
    t = c.tape
    x = ops.expand_view(t, x, shape)
    mask = lower_triangle(c, shape)
    x = recurrent_ops.masked_fill(t, x, negated(c, mask), "segments")
    summed = recurrent_ops.cumsum(t, x)
    mask = lower_triangle(c, shape)
    summed = recurrent_ops.masked_fill(t, summed, negated(c, mask), "segment sums")
    return summed


def lower_triangle(c: Context, shape: Shape) -> Value:
    """torch.tril(torch.ones(n, n, dtype=bool))."""
    ones = c.tape.allocate(shape[-2:], "bool", "mask")
    mask = c.tape.allocate(shape[-2:], "bool", "mask")
    del ones
    return mask


def negated(c: Context, mask: Value) -> Value:
    return c.tape.allocate(mask.shape, "bool", "mask")


def to_the_end(c: Context, a_cumsum: Value) -> Value:
    """``A_cumsum[:, :, :, -1:] - A_cumsum``."""
    t = c.tape
    last = ops.narrow(t, a_cumsum, (*BY_HEAD[:3], 1))

    def backward(grad: Value) -> ops.Grads:
        return (ops.same(grad), t.allocate(grad.shape, grad.dtype, "neg grad"))

    return t.op("decay to the end", BY_HEAD, "float32", [last, a_cumsum], backward)


def between_chunks(c: Context, a_cumsum: Value) -> Value:
    """``exp(segment_sum(pad(A_cumsum[:, :, :, -1], (1, 0))))``."""
    t = c.tape
    ends: Shape = ("B", "heads", "chunks_and_one")
    last = recurrent_ops.pad(t, ops.narrow(t, a_cumsum, BY_HEAD[:3]), ends)
    return recurrent_ops.exp(t, segment_sum(c, last, (*ends, "chunks_and_one")), "decay between chunks")


def sliced_and_folded(c: Context, new_states: Value) -> Value:
    """``new_states[:, :-1]``: the gradient of the slice is copied into the order of the product that made it."""
    t = c.tape
    whole = new_states.shape

    def backward(grad: Value) -> ops.Grads:
        sliced = t.allocate(whole, grad.dtype, "slice grad")
        out = t.allocate(whole, grad.dtype, "folded for bmm")
        del sliced
        return (out,)

    return t.op("slice", STATES, new_states.dtype, [new_states], backward, view=new_states, contiguous=False)
