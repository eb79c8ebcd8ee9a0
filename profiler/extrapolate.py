"""From two shallow traces to a deep one: linear in depth, place by place.

What is live at a given place of a step (an operator in the first layer, the last, the head, the optimizer) grows by
the same bytes with every period of layers; the peak of the deep model is the largest of the extrapolated places.
Extrapolating the peaks themselves would miss a peak that moves with depth.
Leaves out: places inside the layers that are neither near the first nor near the last; live bytes are linear in the
layer's number, so the largest is at an end.
Checked by: tests/profiler/test_trace.py, against traces of all layers.
"""

import numpy as np

from profiler.categories import as_bytes
from profiler.measured import Measured
from profiler.places import Place, births_by_place
from profiler.slices import Slices

Live = np.ndarray  # bytes by category


def extrapolate(small: Measured, large: Measured, slices: Slices) -> Measured:
    """The figures of the deep model."""
    deep = _deep_places(small, large, slices)
    highest = _highest(deep)
    peak = max(highest.values(), key=lambda place: int(deep[place].sum()))

    def figure(key: str) -> int:
        low, high = getattr(small, key), getattr(large, key)
        return int(low + (high - low) * slices.num_periods)

    return Measured(
        weights_bytes=figure("weights_bytes"),
        peak_bytes=int(deep[peak].sum()),
        steady_bytes=figure("steady_bytes"),
        trainable_params=figure("trainable_params"),
        total_params=figure("total_params"),
        peak_phase=peak.phase,
        live_bytes=as_bytes(deep[peak]),
        timeline={phase: as_bytes(deep[place]) for phase, place in highest.items()},
        notes=(*small.notes, f"traced with {slices.small} and {slices.large} layers and extrapolated"),
    )


def _deep_places(small: Measured, large: Measured, slices: Slices) -> dict[Place, Live]:
    """What is live in the deep model at each place that both slices have."""
    low = _live_at_places(small, slices.small, slices.period)
    high = _live_at_places(large, slices.large, slices.period)
    return {place: live + (high[place] - live) * slices.num_periods for place, live in low.items() if place in high}


def _live_at_places(measured: Measured, num_layers: int, num_back: int) -> dict[Place, Live]:
    assert measured.categories is not None
    live = measured.categories.live()
    found: dict[Place, Live] = {}
    for place, index in births_by_place(measured.categories.record, num_layers, num_back):
        if place not in found or live[index].sum() > found[place].sum():
            found[place] = live[index]
    return found


def _highest(deep: dict[Place, Live]) -> dict[str, Place]:
    """The highest place of each phase."""
    highest: dict[str, Place] = {}
    for place, live in deep.items():
        if place.phase not in highest or live.sum() > deep[highest[place.phase]].sum():
            highest[place.phase] = place
    return highest
