"""Mamba's mixer: mamba_selective_scan and MambaMixer.forward of transformers 5.23 models/mamba and models/jamba.

The torch code that runs without the packages mamba-ssm, causal-conv1d and mambapy: a loop over single tokens.
"""

from collections.abc import Callable

from planner.memory import linear_ops, mixer_modules, ops, recurrent_ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.modules import Context, linear

HIDDEN: Shape = ("hidden",)
INNER: Shape = ("inner",)
ROWS: Shape = ("B", "inner", "S")
STATES: Shape = ("B", "inner", "S", "state")
STATE: Shape = ("B", "inner", "state")
BY_TOKEN: Shape = ("B", "S", "state")
Norm = Callable[[Context, Value, str, Shape], Value]


def mixer(c: Context, hidden_states: Value, name: str, norm: Norm | None = None) -> Value:
    """MambaMixer.forward and JambaMambaMixer.forward, which norms the step, B and C."""
    t = c.tape
    dtype = hidden_states.dtype
    hidden_states = mixer_modules.without_padding(c, hidden_states)
    projected_states = linear(c, hidden_states, f"{name}.in_proj", (2, *INNER), HIDDEN)
    a_log = ops.to(t, c.parameter(f"{name}.A_log", (*INNER, "state")), "float32")
    a = ops.scale(t, recurrent_ops.exp(t, a_log))
    del a_log
    x, gate = ops.split(t, projected_states, [ROWS, ROWS])
    x = mixer_modules.causal_conv1d(c, x, f"{name}.conv1d", "inner", bias=True)
    columns = ops.copy(t, ops.view(t, x, ("B", "S", *INNER)), label="tokens by row")
    projected = linear(c, columns, f"{name}.x_proj", ("x_width",), INNER)
    del columns
    time_step, b, by_c = ops.split(t, projected, [("B", "S", "dt_rank"), BY_TOKEN, BY_TOKEN])
    del projected
    if norm is not None:
        time_step = norm(c, time_step, f"{name}.dt_layernorm", ("dt_rank",))
        b = norm(c, b, f"{name}.b_layernorm", ("state",))
        by_c = norm(c, by_c, f"{name}.c_layernorm", ("state",))
    time_step = spread(c, time_step, f"{name}.dt_proj")
    scan_output = selective_scan(c, x, time_step, a, b, by_c, gate, name)
    rows = ops.to(t, ops.view(t, scan_output, ("B", "S", *INNER)), dtype, "scan output")
    rows = ops.copy(t, rows, label="tokens by row")
    del scan_output
    return linear(c, rows, f"{name}.out_proj", HIDDEN, INNER)


def spread(c: Context, time_step: Value, name: str) -> Value:
    """``dt_proj.weight @ time_step``, past any adapter; a quantized projection is called, and its bias taken off."""
    t = c.tape
    if name in c.structure.quantized:
        steps = linear(c, time_step, name, INNER, ("dt_rank",))
        return ops.view(t, ops.add_constant(t, steps, "time step"), ROWS, contiguous=False)
    weight = c.parameter(f"{name}.weight", (*INNER, "dt_rank"))
    return ops.copy(t, linear_ops.matmul(t, time_step, weight, ROWS, "time step", batched=False), label="time step")


def selective_scan(c: Context, x: Value, dt: Value, a: Value, b: Value, by_c: Value, gate: Value, name: str) -> Value:
    """mamba_selective_scan, the recurrent iteration."""
    t = c.tape
    bias = ops.to(t, c.parameter(f"{name}.dt_proj.bias", INNER), dt.dtype)
    dt = ops.add(t, dt, ops.view(t, bias, (*INNER, 1)), "time step and bias")
    dt = ops.unary(t, dt, "softplus")
    discrete_a = recurrent_ops.exp(t, ops.mul(t, a, each_state(c, dt), "A*dt", STATES), "discrete A")
    discrete_b = ops.mul(t, each_state(c, dt), ops.to(t, b, "float32"), "discrete B", STATES)
    delta_b_u = ops.mul(t, discrete_b, ops.to(t, each_state(c, x), "float32"), "discrete B*u")
    scan_output = scan(c, discrete_a, delta_b_u, by_c, x.dtype)
    d = ops.to(t, c.parameter(f"{name}.D", INNER), "float32")
    scan_output = ops.add(t, scan_output, in_float32(c, x, d), "scan and D")
    scan_output = ops.mul(t, scan_output, ops.unary(t, gate, "silu"), "gated")
    return scan_output


def each_state(c: Context, x: Value) -> Value:
    """``x[:, :, :, None]``."""
    return ops.view(c.tape, x, (*ROWS, 1))


def in_float32(c: Context, x: Value, d: Value) -> Value:
    """``hidden_states * D[None, :, None]``, of a 16-bit tensor and a float32 one."""
    return ops.mul(c.tape, x, ops.view(c.tape, d, (*INNER, 1)), "x*D")


def scan(c: Context, discrete_a: Value, delta_b_u: Value, by_c: Value, dtype: str) -> Value:
    """The loop over tokens, of which the last two are run; all outputs are held in a list until the scan returns."""
    t = c.tape
    outputs = [t.allocate(("B", "inner", "chunks_before"), dtype, "outputs of each token")]
    state = t.allocate(STATE, "float32", "recurrent state")
    low: list[tuple[Shape, str]] = [] if dtype == "float32" else [(("chunks_before", *STATE), dtype)]
    kept: list[tuple[Shape, str]] = [(("chunks_before", *STATE), "float32"), *low]
    (state,) = mixer_modules.held_by_earlier(c, [discrete_a, by_c], [state], kept)
    for taped in range(min(c.structure.loop_passes, 2)):
        with mixer_modules.counted_as_earlier(c, taped):
            decayed = ops.mul(t, ops.narrow(t, discrete_a, STATE), state, "decayed state")
            state = ops.add(t, decayed, ops.narrow(t, delta_b_u, STATE), "recurrent state")
            del decayed
            column = ops.narrow(t, by_c, ("B", "state"))
            outputs.append(linear_ops.matmul(t, ops.to(t, state, dtype, "state"), column, ("B", "inner", 1), "output"))
    del state
    return stacked(c, outputs)


def stacked(c: Context, outputs: list[Value]) -> Value:
    """torch.stack: backward takes the gradients out one by one, each in a tensor of its own."""
    t = c.tape
    shapes = [value.shape for value in outputs]

    def backward(grad: Value) -> ops.Grads:
        return tuple(Value(grad.storage, shape, grad.dtype, contiguous=False) for shape in shapes)

    return t.op("scan output", ROWS, outputs[-1].dtype, outputs, backward)
