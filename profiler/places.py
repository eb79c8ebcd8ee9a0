"""The places of a step: which layer, module and operator an event belongs to, and in which phase it falls.

Places have names that mean the same in models of different depth, so that a shallow model can stand for a deep one.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from profiler.storages import Event, Record

#: The first number in a module's name is the layer's.
LAYER = re.compile(r"(?:^|\.)(\d+)(?=\.|$)")
#: Phases of a step, in the answer's words (CONTRACT: planner/answer.py), and how the tracker's own become them.
PHASES = (
    "loaded",
    "forward",
    "loss",
    "backward_head",
    "backward_layers",
    "backward_embedding",
    "optimizer_step",
    "between_steps",
)
_TRACKED = {"loaded": "loaded", "optimizer": "optimizer_step", "between": "between_steps"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when: a step, a phase, a layer by its distance from an end ("" outside), a module, an operator.

    occurrence tells repeated events of the same description apart, in their order.
    """

    step: int
    phase: str
    layer: str
    module: str
    op: str
    occurrence: int = 0


def layer_of(module: str) -> int | None:
    """The layer's number in a module's name, None outside the layers."""
    match = LAYER.search(module)
    return int(match.group(1)) if match else None


def phases_of(record: Record) -> Iterator[str]:
    """The phase of each event, in the planner's words."""
    phase, entered = "loaded", False
    for event in record.events:
        phase, entered = _next_phase(phase, entered, event)
        yield phase


def _next_phase(phase: str, entered: bool, event: Event) -> tuple[str, bool]:
    """The phase an event falls in, and whether the layers have been entered in this pass."""
    if event.phase not in ("forward", "backward"):
        return _TRACKED[event.phase], False
    if not phase.startswith(event.phase) and not (event.phase == "forward" and phase == "loss"):
        entered = False
    entered = entered or layer_of(event.module) is not None
    outside = layer_of(event.module) is None
    if event.phase == "forward":
        return ("loss" if entered and outside else "forward"), entered
    if not entered:
        return "backward_head", False
    return ("backward_embedding" if outside and event.module else "backward_layers"), True


def births_by_place(record: Record, num_layers: int, num_back: int) -> Iterator[tuple[Place, int]]:
    """Each birth after loading: its place and the index of its event.

    The last num_back layers are named by their distance from the end, the others by their distance from the start.
    The optimizer's step is one place: it goes over the parameters one by one, whatever layer they are in.
    """
    seen: Counter[Place] = Counter()
    for index, (event, phase) in enumerate(zip(record.events, phases_of(record), strict=True)):
        if event.delta < 0 or event.phase == "loaded":
            continue
        if phase == "optimizer_step":
            yield Place(event.step, phase, "", "", ""), index
            continue
        place = _place(event, phase, num_layers, num_back)
        yield Place(place.step, phase, place.layer, place.module, place.op, seen[place]), index
        seen[place] += 1


def _place(event: Event, phase: str, num_layers: int, num_back: int) -> Place:
    layer = layer_of(event.module)
    if layer is None:
        return Place(event.step, phase, "", event.module, event.birth.op)
    front = layer < num_layers - num_back
    name = f"first+{layer}" if front else f"last-{num_layers - 1 - layer}"
    return Place(event.step, phase, name, LAYER.sub(".*", event.module, count=1), event.birth.op)
