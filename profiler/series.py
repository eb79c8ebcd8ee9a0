"""The timeline of the steps as a series: in each phase the highest moment of each layer, and of what is around them."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from profiler.categories import Bytes, Categories, as_bytes
from profiler.places import PHASES, Place, births_by_place
from profiler.slices import Slices

Live = np.ndarray  # bytes by category


@dataclass(frozen=True, slots=True)
class Moment:
    """Bytes live by category; module: the layer's name, "" outside the layers; step 0: before the first step."""

    step: int
    phase: str
    module: str
    live_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Key:
    """Where a moment of the series falls; layer: its number, None outside the layers."""

    step: int
    phase: str
    stack: str = ""
    layer: int | None = None

    @property
    def module(self) -> str:
        """The layer's name."""
        return "" if self.layer is None else f"{self.stack}{self.layer}"


Rows = dict[Key, Live]


def as_series(rows: Rows) -> tuple[Moment, ...]:
    """Rows in the order of the steps: layers from the first to the last, and backward from the last to the first."""
    stacks: dict[tuple[str, str], int] = {}
    for key in rows:
        stacks.setdefault((key.phase, key.stack), len(stacks))

    def order(key: Key) -> tuple[int, ...]:
        forward = key.phase == "forward"
        if key.layer is None:
            return key.step, PHASES.index(key.phase), -1 if forward else len(stacks), 0
        layer = key.layer if forward else -key.layer
        return key.step, PHASES.index(key.phase), stacks[key.phase, key.stack], layer

    return tuple(Moment(k.step, k.phase, k.module, as_bytes(rows[k])) for k in sorted(rows, key=order))


def rows_of(categories: Categories, live: Live, loaded_at: int) -> Rows:
    """The rows of a record: live as Categories.live gives it, loaded_at its last event before the steps."""
    events = categories.record.events
    rows = {Key(0, "loaded"): live[loaded_at]}
    places = births_by_place(categories.record, sys.maxsize, 0)
    rows |= highest((key_of(place, sys.maxsize), live[index]) for place, index in places)
    last = {event.step: index for index, event in enumerate(events) if event.step}
    return rows | {Key(step, "between_steps"): live[index] for step, index in last.items()}


def highest(pairs: Iterable[tuple[Key, Live]]) -> Rows:
    """The highest row of each key, in the order of their first."""
    rows: Rows = {}
    for key, row in pairs:
        if key not in rows or row.sum() > rows[key].sum():
            rows[key] = row
    return rows


def key_of(place: Place, depth: int) -> Key:
    """The key of a place in a model of this depth; layers named from the start need none."""
    if not place.layer:
        return Key(place.step, place.phase)
    from_start = place.layer.startswith("first+")
    number = int(place.layer.removeprefix("first+").removeprefix("last-"))
    layer = number if from_start else depth - 1 - number
    return Key(place.step, place.phase, place.module.partition("*")[0], layer)


def deep_rows(rows: Rows, large: Rows, slices: Slices, depth: int) -> Rows:
    """The rows of a deep model: those of its first and last layers, and between them the layers that no slice has.

    rows: the first and last layers, at the deep model's size; large: the rows of the larger slice.  From one period
    to the next a layer's row changes by what a period's layers keep and leave, at any depth.
    """
    found, front = dict(rows), slices.small - slices.period  # layers before the last period
    for step, phase, stack in {(key.step, key.phase, key.stack) for key in rows if key.layer is not None}:
        for layer in range(front, depth - slices.period):
            periods, ahead = divmod(layer - front, slices.period)
            number = front - slices.period + ahead
            base, following = Key(step, phase, stack, number), Key(step, phase, stack, number + slices.period)
            if base in rows and base in large and following in large:
                found[Key(step, phase, stack, layer)] = rows[base] + (periods + 1) * (large[following] - large[base])
    return found
