"""Storages, the values that hold them, and the nodes of the autograd graph that a tape records."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from planner.memory.live import Category, Key, Kind, Shape


class Account(Protocol):
    """Where storages are counted: a tape."""

    def born(self, key: Key, coefficient: int) -> None:
        """So many bytes more."""

    def died(self, key: Key, coefficient: int) -> None:
        """So many bytes less."""

    def change(self, key: Key, coefficient: int) -> None:
        """The same bytes under another name: no maximum falls between."""


class Storage:
    """One allocation. Counted from its creation until Python drops the last reference."""

    __slots__ = ("tape", "key", "coefficient")

    def __init__(self, tape: Account, key: Key, coefficient: int):
        self.tape, self.key, self.coefficient = tape, key, coefficient
        tape.born(key, coefficient)

    def __del__(self) -> None:
        self.tape.died(self.key, self.coefficient)

    def move(self, category: Category) -> None:
        """Count this storage in another category from now on."""
        label, old, monomial = self.key
        if old == category:
            return
        self.tape.change(self.key, -self.coefficient)
        self.key = (label, category, monomial)
        self.tape.change(self.key, self.coefficient)


class Value:
    """A handle on (a view of) a storage, as a Python variable holds a tensor."""

    __slots__ = ("storage", "shape", "dtype", "requires_grad", "node", "index", "leaf", "contiguous")

    def __init__(
        self,
        storage: Storage | None,
        shape: Shape,
        dtype: str,
        requires_grad: bool = False,
        node: "Node | None" = None,
        leaf: str | None = None,
        contiguous: bool = True,
        index: int = 0,
    ):
        self.storage = storage
        self.shape = shape
        self.dtype = dtype
        self.requires_grad = requires_grad
        self.node = node
        self.leaf = leaf
        self.contiguous = contiguous
        self.index = index

    def detach(self) -> "Value":
        return Value(self.storage, self.shape, self.dtype, contiguous=self.contiguous)


class Holder:
    """One saved tensor of a node; under checkpointing it is filled by the recomputation."""

    __slots__ = ("value", "frame", "__weakref__")

    def __init__(self, value: Value | None, frame: "Frame | None" = None):
        self.value, self.frame = value, frame


Backward = Callable[..., Sequence[Value | None]]


class Node:
    """One backward function: the nodes its gradients go to, what it saved, and how it allocates.

    kind, again: of the kernels that it runs (kernels.py).
    """

    __slots__ = ("edges", "saved", "backward", "number", "num_outputs", "kind", "again")

    def __init__(
        self, edges: list["Edge"], backward: Backward, number: int, kind: Kind = "elementwise", again: str = ""
    ):
        self.edges, self.backward, self.number, self.num_outputs = edges, backward, number, 1
        self.kind, self.again = kind, again
        self.saved: list[Holder] = []


@dataclass(slots=True)
class Edge:
    """Where one gradient goes: a node, a leaf parameter, or nowhere; with the input's metadata for validation."""

    node: Node | None
    index: int
    leaf: str | None
    shape: Shape
    dtype: str
    wanted: bool


class StopRecomputation(Exception):
    """torch.utils.checkpoint's early stop: every saved tensor has been recomputed."""


class Frame:
    """One non-reentrant checkpoint: the function, its arguments, and the holders its recomputation fills."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]):
        self.function, self.args = function, args
        self.holders: list[Any] = []
        self.recomputed = False
