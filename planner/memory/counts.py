"""Sums over a whole model, kept with what its requests have in common."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from planner.identity import Same
from planner.memory.inventory import Item
from planner.memory.moments import Static
from planner.memory.states import state_bytes


@dataclass(frozen=True, slots=True)
class Counts:
    """Sums over a whole model: parameters, the trained weights as saved, and the states of all of them."""

    total_params: int
    trainable_params: int
    trained_bytes: int
    states_bytes: int


@lru_cache(maxsize=1024)
def counts_of(its_static: Same[Static], device: str) -> Counts:
    """The sums of a run."""
    static = its_static.of
    items, states = static.items, state_bytes(static.optimizer, static.items, device)
    return Counts(total_params(items), trainable_params(items), trained_bytes(items), states.total)


def total_params(items: Iterable[Item]) -> int:
    """Parameters of the model, with its adapters."""
    return sum(item.elements for item in items if item.role != "buffer")


def trainable_params(items: Iterable[Item]) -> int:
    """Parameters that are trained."""
    return sum(item.elements for item in items if item.trainable)


def trained_bytes(items: Iterable[Item]) -> int:
    """The trained weights as saved: the adapter, or the whole model."""
    return sum(item.elements * (4 if item.dtype == "float32" else 2) for item in items if item.trainable)
