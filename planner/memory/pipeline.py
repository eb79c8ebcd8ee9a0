"""Pipeline parallel: the stage with the embeddings and the one with the head, of which the larger is the answer.

One forward, one backward (1F1B; Narayanan et al. 2021, section 2.2.1): stage s of p has p - s micro-batches in flight,
or all of the step where these are fewer (gradient_accumulation_steps); stages between hold less than the first.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from planner.memory.dims import Number
from planner.memory.evaluated import Layer, Runs
from planner.memory.inventory import Item
from planner.memory.live import ITEMSIZE, Live
from planner.memory.step import Composition, Step, counted_layers
from planner.schema import PlanRequest

Role = Literal["whole", "first", "last"]
#: Which of a step's moments a stage has (Step.moments of one stack): the first is without head and loss, the last
#: without embeddings.
_MOMENTS: dict[Role, tuple[int, ...]] = {"first": (0, 1, 5, 6), "last": (1, 2, 3, 4, 5)}


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of `size`, each with the same number of layers, rounded up."""

    role: Role = "whole"
    size: int = 1

    def in_flight(self, micro_batches: int) -> int:
        """Micro-batches that it has run forward and not yet backward, at most."""
        return min(self.size, micro_batches) if self.role == "first" else 1


def stages_of(request: PlanRequest) -> tuple[Stage, ...]:
    """The stages that can be the largest."""
    size = request.parallelism.pipeline_parallel_size
    return (Stage(),) if size == 1 else (Stage("first", size), Stage("last", size))


def stage_items(items: Iterable[Item], stage: Stage) -> tuple[Item, ...]:
    """The tensors of a stage: its share of the layers, and what stands before or after them."""
    if stage.role == "whole":
        return tuple(items)
    found = []
    for item in items:
        if ".*." in item.name:
            found.append(replace(item, count=-(-item.count // stage.size)))
        elif item.role == "buffer" or (item.role == "embedding") == (stage.role == "first"):
            found.append(item)
    return tuple(found)


@dataclass(slots=True)
class StagedStep(Step):
    """One micro-batch through a stage, with those in flight besides."""

    stage: Stage
    others: int
    head_gradient: Live

    @property
    def on_host(self) -> Number:
        """Of every micro-batch in flight."""
        return sum((layer.on_host for layer in self.layers), start=0) * (self.others + 1)

    def moments(self, held: Callable[[str], int] = lambda at: 0) -> list[Composition]:
        """The stage's moments, each with what the other micro-batches in flight have saved."""
        found = Step.moments(self, held)  # super() does not know a dataclass with slots
        if self.stage.role == "first":  # it has no head, whose gradient the embedding's backward has beside it
            last = found[6]
            pieces = (*last.pieces, (self.model, self.head_gradient, -1))
            found[6] = replace(last, bytes=last.bytes - self.model.total(self.head_gradient), pieces=pieces)
        return [self._with_others(found[i]) for i in _MOMENTS[self.stage.role]]

    def _with_others(self, moment: Composition) -> Composition:
        attribute = "passed" if moment.phase in ("forward", "loss") else "kept"
        runs = [(layer, count * self.others) for run in self.stacks for layer, count in run]
        saved = sum(count * getattr(layer, attribute) for layer, count in runs)
        return replace(moment, bytes=moment.bytes + saved, pieces=(*moment.pieces, *counted_layers(runs, attribute)))


def staged(step: Step, stage: Stage, request: PlanRequest) -> Step:
    """The step of one stage."""
    if stage.role == "whole":
        return step
    runs = step.stacks[0]
    number = -(-sum(count for _, count in runs) // stage.size)
    own = _first(runs, number) if stage.role == "first" else _first(runs[::-1], number)[::-1]
    tape, full = step.tape, request.method == "full"
    if stage.role == "first":
        entry = tape.entries[0]
        kept = Live({key: n for key, n in entry.shared_backward.items() if key[1] != "gradients"})
        tape = replace(tape, entries=(replace(entry, shared_backward=kept),))
    size = ITEMSIZE[request.dtype] if full else 0
    gradient = Live({("gradient of the head", "gradients", ("vocab", "hidden")): size} if full else {})
    others = stage.in_flight(request.gradient_accumulation_steps) - 1
    return StagedStep(step.model, tape, [own], stage, others, gradient)


def _first(runs: Runs, number: int) -> Runs:
    found: list[tuple[Layer, int]] = []
    for layer, count in runs:
        taken = min(count, number - sum(n for _, n in found))
        if taken > 0:
            found.append((layer, taken))
    return found
