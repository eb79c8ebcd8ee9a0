"""What mixers of state-space and linear-attention layers share: the causal convolution, the loop over chunks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from planner.memory import ops, recurrent_ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.modules import Context


def without_padding(c: Context, hidden_states: Value) -> Value:
    """apply_mask_to_padding_states: multiplied with the batch's own mask where one is passed."""
    return ops.scale(c.tape, hidden_states, "without padding") if c.structure.mask == "padded" else hidden_states


def causal_conv1d(c: Context, x: Value, name: str, channels: str, bias: bool) -> Value:
    """causal_conv1d_fn of transformers 5.23 without the package causal-conv1d: x [B, channels, S]."""
    t = c.tape
    before, t.scope = t.scope, f"{name}: "
    weight = c.parameter(f"{name}.weight", (channels, "conv_kernel"))
    b = c.parameter(f"{name}.bias", (channels,)) if bias else None
    padded = recurrent_ops.depthwise_conv(t, x, weight, b, ("B", channels, "conv_length"))
    out = ops.narrow(t, padded, ("B", channels, "S"))
    del padded
    out = ops.unary(t, out, "act_fn")
    out.contiguous = True
    t.scope = before
    return out


def held_by_earlier(
    c: Context,
    read: list[Value],
    made: list[Value],
    kept: list[tuple[Shape, str]],
    spared: Callable[[], None] = lambda: None,
    saved: list[Value] | None = None,
) -> list[Value]:
    """What all passes of a loop over the sequence but the last two keep: they need no more than those do.

    Only the last two are run on the tape, the first that backward comes to, where it holds most. read: what each pass
    takes a slice of; saved: that of it which it keeps as a slice (by default all); made: what a pass hands on to the
    next; kept: what it makes and saves, with dtypes; spared: notes the kernels that the first pass is without, as its
    state has no gradient. Returns what is made as the last two get it.
    """
    t, number = c.tape, len(read)
    if c.structure.loop_passes < 3:
        return made

    def backward(*grads_and_saved: Value) -> ops.Grads:
        return (None,) * number

    def backward_of_first(*grads_and_saved: Value) -> ops.Grads:
        spared()
        return (None,) * number

    held = [t.allocate(shape, dtype, "state of each pass") for shape, dtype in kept]
    handed = [t.op("view", value.shape, value.dtype, read, backward, view=value) for value in made[1:]]
    out = (made[0].shape, made[0].dtype)
    state = t.op(
        "recurrent state",
        *out,
        read,
        backward_of_first,
        [*(read if saved is None else saved), *held],
        kind="elementwise",
        moved=(),
    )
    return [state, *handed]


@contextmanager
def counted_as_earlier(c: Context, taped: int) -> Iterator[None]:
    """The first of two passes on the tape: as many kernels again for each of the earlier ones."""
    work = c.tape.work
    work.again = "chunks_before" if taped == 0 and c.structure.loop_passes >= 3 else ""
    yield
    work.again = ""
