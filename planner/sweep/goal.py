"""A goal: what is to be trained on how many tokens, by when and for how much; and the options that are open."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from planner.errors import RequestError
from planner.sweep.axes import Axes
from planner.sweep.settle import Fields

#: Numbers of cards that are tried where none is named.
COUNTS = (1, 2, 4, 8)
#: Sequences a card and pass that are tried where none is named.
BATCHES = (1, 2, 4, 8, 16, 32, 64)
#: How several cards share: a copy on each, or everything in parts.
STRATEGIES = ("ddp", "fsdp")


@dataclass(frozen=True, slots=True)
class Goal:
    """axes: one model, one length; methods, cards, numbers of cards and batches to choose from.

    allow_tight: also what may run out of memory, as its verdict says. None: no limit.
    """

    axes: Axes
    deadline_hours: float | None = None
    budget_usd: float | None = None
    allow_tight: bool = False

    def __post_init__(self) -> None:
        if len(self.axes.models) > 1 or len(self.axes.lengths) > 1:
            raise RequestError("a search is for one model and one length: name one of each", "models")
        if "dataset" not in self.axes.base:
            raise RequestError(
                "a search needs the tokens to train on: --num-tokens, or --num-examples and --mean-length", "dataset"
            )
        for name in ("deadline_hours", "budget_usd"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise RequestError(f"{name}: {value:g}: give a finite number above 0", name)


@dataclass(frozen=True, slots=True)
class Variant:
    """Options that differ in card, number of cards and batch only. settings: shown in their columns."""

    axes: Axes
    settings: dict[str, str | None]


def variants(goal: Goal) -> Iterator[Variant]:
    """Every setting that the goal leaves open, the plainest first."""
    base = goal.axes.base
    for checkpointing in _open(base, "gradient_checkpointing", (False, True)):
        for loss in _open(base, "loss", (None,) if "stack" in base else ("full", "chunked")):
            for strategy, counts in _shared(goal):
                fields = base | {"gradient_checkpointing": checkpointing}
                fields |= {} if loss is None else {"loss": loss}
                if strategy is not None:
                    fields["parallelism"] = base.get("parallelism", {}) | {"strategy": strategy}
                settings = {"gradient_checkpointing": str(checkpointing).lower(), "loss": loss}
                yield Variant(replace(goal.axes, base=fields, counts=counts), settings)


def _open(base: Fields, name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
    return (base[name],) if name in base else values


def _shared(goal: Goal) -> Iterator[tuple[str | None, tuple[int, ...]]]:
    """Strategies with the numbers of cards that they are tried on."""
    counts = goal.axes.counts
    if "strategy" in goal.axes.base.get("parallelism", {}):
        yield None, counts
        return
    single, several = (tuple(n for n in counts if (n > 1) is many) for many in (False, True))
    if single:
        yield None, single
    if several:
        for strategy in STRATEGIES:
            yield strategy, several
