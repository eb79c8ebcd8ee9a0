"""What layers hand on beside the hidden states: T5's position biases, and its encoder's output for every decoder layer.

A layer is taped on its own. What it is given by another begins at a node that receives the gradient; the gradient
that later layers have left is there when its backward begins. The first layer that has a tensor counts its storage.
"""

from collections.abc import Callable, Sequence

from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.structure import Structure
from planner.memory.tape import Tape, receiver

#: Values by name, as a layer gets them and hands them on.
Handed = dict[str, Value]


def given(t: Tape, name: str, shape: Shape, dtype: str, requires_grad: bool) -> Value:
    """A value of an earlier layer, counted there."""
    value, _ = t.boundary(shape, dtype, requires_grad, name)
    value.storage = None
    return value


def held_by_later_layers(s: Structure) -> bool:
    """Whether checkpoints of later layers hold what this one hands on."""
    return s.checkpointing != "none" and not s.last_of_stack


def with_gradients(s: Structure, values: Handed) -> list[tuple[Value, str]]:
    """Where a layer's backward begins besides its output: what later layers have used, without its storage."""
    if s.last_of_stack:
        return []
    wanted = {name: value for name, value in values.items() if value.requires_grad}
    return [(_bare(value), name) for name, value in wanted.items() if cast_of(name) not in wanted]


def cast_of(name: str) -> str:
    """The name of autocast's copy of a leaf, which all layers of one forward use."""
    return f"cast of {name}"


def checkpoint_reentrant(
    t: Tape, function: Callable[[Value, Handed], tuple[Value, Handed]], hidden: Value, given: Handed
) -> tuple[Value, Handed]:
    """torch.utils.checkpoint.checkpoint(..., use_reentrant=True) of a function of several values.

    Whatever it returns requires a gradient from then on, and a gradient that is missing is made of zeros.
    """
    with t.no_grad():
        out, handed = function(hidden, given)
    inputs, metadata = [hidden, *given.values()], [(v.shape, v.dtype) for v in (out, *handed.values())]
    names, wanted = list(given), [v.requires_grad for v in inputs]

    def backward(*grads_and_saved: Value | None) -> tuple[Value | None, ...]:
        grads = [
            grad or t.allocate(*like, "zeros")
            for grad, like in zip(grads_and_saved[: len(metadata)], metadata, strict=True)
        ]
        received, leaves = _detached(wanted, grads_and_saved[len(metadata) :])
        t.work.phase = "recompute"
        again, others = function(leaves[0], dict(zip(names, leaves[1:], strict=True)))
        t.cast_cache.clear()
        t.run_backward_from(list(zip((again, *others.values()), grads, strict=True)))
        return tuple(r.pop() if r else None for r in received)

    node = t.record(inputs, backward, inputs)
    if node is None:
        return out, handed
    node.num_outputs = len(metadata)
    returned = [
        Value(v.storage, v.shape, v.dtype, True, node, contiguous=v.contiguous, index=i)
        for i, v in enumerate((out, *handed.values()))
    ]
    return returned[0], dict(zip(handed, returned[1:], strict=True))


def _detached(wanted: list[bool], saved: Sequence[Value | None]) -> tuple[list[list[Value | None]], list[Value]]:
    """The inputs of a recomputation, and the lists that will receive their gradients."""
    received: list[list[Value | None]] = [[] for _ in wanted]
    leaves: list[Value] = []
    for into, requires_grad, kept in zip(received, wanted, saved, strict=True):
        assert kept is not None
        node, leaf = (receiver(into), "checkpoint.input") if requires_grad else (None, None)
        leaves.append(
            Value(
                kept.storage,
                kept.shape,
                kept.dtype,
                requires_grad,
                node,
                f"{leaf}.{len(leaves)}" if leaf else None,
                kept.contiguous,
            )
        )
    return received, leaves


def _bare(value: Value) -> Value:
    return Value(None, value.shape, value.dtype, True, value.node, value.leaf, index=value.index)
