"""From two shallow traces to a deep one: linear in depth, place by place.

What is live at a given place of a step (an operator in the first layer, the last, the head, the optimizer) grows by
the same bytes with every period of layers; the peak of the deep model is the largest of the extrapolated places.
Extrapolating the peaks themselves would miss a peak that moves with depth.
Leaves out: places inside the layers that are neither near the first nor near the last; live bytes are linear in the
layer's number, so the largest is at an end.
Checked by: tests/profiler/test_trace.py, against traces of all layers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from profiler.live import Counts, as_storages, counts_at
from profiler.measured import Measured
from profiler.places import Place, births_by_place
from profiler.series import Rows, as_series, deep_rows, highest, key_of, rows_of
from profiler.slices import Slices

Live = np.ndarray  # bytes by category


@dataclass(frozen=True, slots=True)
class Slice:
    """One shallow trace, read: what is live at each place, and which event that is; the rows of its series."""

    live: dict[Place, Live]
    events: dict[Place, int]
    rows: Rows


def extrapolate(small: Measured, large: Measured, slices: Slices, how: str = "traced") -> Measured:
    """The figures of the deep model; `how` the slices were run is said in a note."""
    low = read_slice(small, slices.small, slices.period)
    high = read_slice(large, slices.large, slices.period)
    deep = deep_places(low, high, slices)
    peak = max(deep, key=lambda place: int(deep[place].sum()))

    def figure(key: str) -> int:
        return int(_deep(getattr(small, key), getattr(large, key), slices))

    return Measured(
        weights_bytes=figure("weights_bytes"),
        peak_bytes=int(deep[peak].sum()),
        steady_bytes=figure("steady_bytes"),
        trainable_params=figure("trainable_params"),
        total_params=figure("total_params"),
        peak_phase=peak.phase,
        storages=as_storages(_deep_counts(small, large, (low.events[peak], high.events[peak]), slices)),
        series=as_series(_deep_series(deep, low, high, slices)),
        notes=(*small.notes, f"{how} with {slices.small} and {slices.large} layers and extrapolated"),
    )


def deep_places(low: Slice, high: Slice, slices: Slices) -> dict[Place, Live]:
    """What is live in the deep model at each place that both slices have."""
    return {place: _deep(live, high.live[place], slices) for place, live in low.live.items() if place in high.live}


def _deep(low: Any, high: Any, slices: Slices) -> Any:
    """What the deep model has of something: each further period adds the same."""
    return low + (high - low) * slices.num_periods


def read_slice(measured: Measured, num_layers: int, num_back: int) -> Slice:
    """A trace of num_layers layers, place by place; the last num_back layers are named from the end."""
    assert measured.categories is not None
    live = measured.categories.live()
    events: dict[Place, int] = {}
    for place, index in births_by_place(measured.categories.record, num_layers, num_back):
        if place not in events or live[index].sum() > live[events[place]].sum():
            events[place] = index
    loaded_at = max(i for i, event in enumerate(measured.categories.record.events) if event.phase == "loaded")
    rows = rows_of(measured.categories, live, loaded_at)
    return Slice({place: live[index] for place, index in events.items()}, events, rows)


def _deep_counts(small: Measured, large: Measured, events: tuple[int, int], slices: Slices) -> Counts:
    """What is live at the peak of the deep model."""
    assert small.categories is not None and large.categories is not None
    low, high = counts_at(small.categories, events[0]), counts_at(large.categories, events[1])
    none = (0, 0)
    return {
        kind: (
            _deep(low.get(kind, none)[0], high.get(kind, none)[0], slices),
            _deep(low.get(kind, none)[1], high.get(kind, none)[1], slices),
        )
        for kind in (low | high)
    }


def _deep_series(deep: dict[Place, Live], low: Slice, high: Slice, slices: Slices) -> Rows:
    depth = slices.small + slices.num_periods * slices.period
    around = {
        key: _deep(row, high.rows[key], slices)
        for key, row in low.rows.items()
        if key.layer is None and key in high.rows
    }
    layers = highest((key_of(place, depth), row) for place, row in deep.items() if place.layer)
    return around | deep_rows(layers, high.rows, slices, depth)
