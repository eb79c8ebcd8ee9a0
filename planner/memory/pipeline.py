"""Layers in stages on several devices: a pipeline of micro-batches, or one batch through cards in a row.

Pipeline parallel: one forward, one backward (1F1B; Narayanan et al. 2021, section 2.2.1): stage s of p has p - s
micro-batches in flight, or all of the step where these are fewer (gradient_accumulation_steps); the answer is the
larger of the stage with the embeddings and the one with the head, as stages between hold less than the first.
`device_map`: the cards work one after another (layer_split.py says which has what), each on one micro-batch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from planner.architecture.blocks import Architecture
from planner.memory.dims import Number
from planner.memory.evaluated import Layer, Runs, pieces_at
from planner.memory.inventory import Item, Setup
from planner.memory.layer_split import loaded_sizes, place
from planner.memory.live import ITEMSIZE, Live
from planner.memory.step import Composition, Step, counted_layers
from planner.schema import PlanRequest

Role = Literal["whole", "first", "middle", "last", "ends"]
#: Which of a step's moments a stage has (Step.moments of one stack): the first is without head and loss, the last
#: without embeddings, those between without both; where the head is tied, one card has both ends of the model.
_MOMENTS: dict[Role, tuple[int, ...]] = {
    "first": (0, 1, 5, 6),
    "middle": (1, 5),
    "last": (1, 2, 3, 4, 5),
    "ends": (0, 1, 2, 3, 4, 5, 6),
}


@dataclass(frozen=True, slots=True)
class Stage:
    """`layers` of `total` from layer `start` on, and the ends of the model that its role says.

    waves: micro-batches that it has run forward and not yet backward, at most. gets_logits: the model's output comes
    back to it (accelerate 1.15 hooks.py AlignDevicesHook, io_same_device).
    """

    role: Role = "whole"
    start: int = 0
    layers: int = 1
    total: int = 1
    waves: int = 1
    gets_logits: bool = False


def stages_of(
    request: PlanRequest, architecture: Architecture, items: Sequence[Item], setup: Setup
) -> tuple[Stage, ...]:
    """The stages that can be the largest."""
    size, total = request.parallelism.pipeline_parallel_size, architecture.num_layers
    if request.parallelism.strategy == "device_map":
        return _cards_in_a_row(request, architecture, items, setup)
    if size == 1:
        return (Stage(),)
    number = -(-total // size)
    return Stage("first", 0, number, total, waves=size), Stage("last", total - number, number, total)


def _cards_in_a_row(
    request: PlanRequest, architecture: Architecture, items: Sequence[Item], setup: Setup
) -> tuple[Stage, ...]:
    total, tied = architecture.num_layers, architecture.tied
    quantized = setup.storage is not None and setup.storage.method.startswith("bnb")
    sizes = loaded_sizes(items, setup, total, tied)
    placed = place(sizes, total, request.num_gpus, quantized, tied)
    if placed.head == 0 and placed.layers[0] == total:
        return (Stage(),)
    found, start = [], 0
    for device, number in enumerate(placed.layers):
        first, last = device == 0, device == placed.head
        role: Role = "ends" if first and last else "first" if first else "last" if last else "middle"
        if number or last:
            found.append(Stage(role, start, number, total, gets_logits=role == "first"))
        start += number
    return tuple(found)


def stage_items(items: Iterable[Item], stage: Stage) -> tuple[Item, ...]:
    """The tensors of a stage: its share of the layers, and what stands before or after them."""
    if stage.role == "whole":
        return tuple(items)
    found = []
    for item in items:
        if ".*." in item.name:
            found.append(replace(item, count=-(-item.count * stage.layers // stage.total)))
        elif item.role == "buffer" or _has(stage, item):
            found.append(item)
    return tuple(item for item in found if item.count)


def _has(stage: Stage, item: Item) -> bool:
    """Whether a tensor outside the layers is the stage's; final norms beside a tied head are taken to be there too."""
    return stage.role in (("first", "ends") if item.role == "embedding" else ("last", "ends"))


@dataclass(slots=True)
class StagedStep(Step):
    """One micro-batch through a stage, with those in flight besides."""

    stage: Stage
    others: int
    head_gradient: Live
    logits: Live

    @property
    def on_host(self) -> Number:
        """Of every micro-batch in flight."""
        return sum((layer.on_host for layer in self.layers), start=0) * (self.others + 1)

    def moments(self, held: Callable[[str], int] = lambda at: 0) -> list[Composition]:
        """The stage's moments, each with what the other micro-batches in flight have saved."""
        if not self.stage.layers:
            return self._of_the_head()
        found = Step.moments(self, held)  # super() does not know a dataclass with slots
        if self.stage.role == "first":  # it has no head, whose gradient the embedding's backward has beside it
            last = found[6]
            pieces = (*last.pieces, (self.model, self.head_gradient, -1))
            found[6] = replace(last, bytes=last.bytes - self.model.total(self.head_gradient), pieces=pieces)
        own = [self._with_others(found[i]) for i in _MOMENTS[self.stage.role]]
        return [*own[:2], self._with_logits(), *own[2:]] if self.stage.gets_logits else own

    def _of_the_head(self) -> list[Composition]:
        """Of a card with the head and no layers."""
        phases = (("forward", self.tape.head), ("loss", self.tape.loss), ("backward head", self.tape.backward_head))
        found = []
        for phase, peaks in phases:
            best, at = self.model.highest(peaks)
            gradients = "growing" if phase == "backward head" else "none"
            found.append(Composition(phase, best, pieces_at(self.model, at), gradients))
        return found

    def _with_logits(self) -> Composition:
        """As the output comes back, everything being saved for backward."""
        runs = self.stacks[0]
        saved = sum(count * layer.passed for layer, count in runs)
        pieces = (*counted_layers(runs, "passed"), (self.model, self.logits, 1))
        return Composition("loss", saved + self.model.total(self.logits), pieces, "none")

    def _with_others(self, moment: Composition) -> Composition:
        attribute = "passed" if moment.phase in ("forward", "loss") else "kept"
        runs = [(layer, count * self.others) for run in self.stacks for layer, count in run]
        saved = sum(count * getattr(layer, attribute) for layer, count in runs)
        return replace(moment, bytes=moment.bytes + saved, pieces=(*moment.pieces, *counted_layers(runs, attribute)))


def staged(step: Step, stage: Stage, request: PlanRequest) -> Step:
    """The step of one stage."""
    if stage.role == "whole":
        return step
    own = _slice(step.stacks[0], stage.start, stage.layers)
    tape, full = step.tape, request.method == "full"
    if stage.role == "first":
        entry = tape.entries[0]
        kept = Live({key: n for key, n in entry.shared_backward.items() if key[1] != "gradients"})
        tape = replace(tape, entries=(replace(entry, shared_backward=kept),))
    size = ITEMSIZE[request.dtype] if full else 0
    gradient = Live({("gradient of the head", "gradients", ("vocab", "hidden")): size} if full else {})
    others = min(stage.waves, request.gradient_accumulation_steps) - 1
    return StagedStep(step.model, tape, [own], stage, others, gradient, _returned_logits(request))


def _returned_logits(request: PlanRequest) -> Live:
    """The output's logits as the first card gets them; under autocast a float32 copy is made of them there.

    accelerate 1.15 utils/operations.py convert_outputs_to_fp32 stands around the hook. Other losses return none.
    """
    if request.loss != "full":
        return Live()
    size = ITEMSIZE[request.dtype] if request.mixed_precision == "no" else 2 + 4
    return Live({("logits on the first card", "logits", ("B", "S", "vocab")): size})


def _slice(runs: Runs, start: int, number: int) -> Runs:
    """`number` layers from layer `start` on."""
    found: list[tuple[Layer, int]] = []
    for layer, count in runs:
        taken = max(0, min(count, start + number) - max(start, 0))
        if taken:
            found.append((layer, taken))
        start -= count
    return found
