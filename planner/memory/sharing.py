"""What layers hand on beside the hidden states: T5's position biases, and its encoder's output for every decoder layer.

A layer is taped on its own. What it is given by another begins at a node that receives the gradient; the gradient
that later layers have left is there when its backward begins. The first layer that has a tensor counts its storage.
"""

from planner.memory.structure import Structure
from planner.memory.tape import Shape, Tape, Value

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
    return [(_bare(value), name) for name, value in values.items() if value.requires_grad]


def _bare(value: Value) -> Value:
    return Value(None, value.shape, value.dtype, True, value.node, value.leaf, index=value.index)
