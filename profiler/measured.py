"""What steps used, real or traced: the figures, without tensors."""

from dataclasses import dataclass, field, fields
from typing import Any

from profiler.categories import CATEGORIES, Bytes, Categories, as_bytes
from profiler.places import phases_of
from profiler.storages import Record


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one request's steps; bytes of tensors, and counts of parameters.

    total_params counts a 4-bit weight by its packed bytes, as sum(p.numel()) does.  live_bytes: at the peak, by
    category.  timeline: the highest moment of each phase over the steps, by category.
    """

    weights_bytes: int
    peak_bytes: int
    steady_bytes: int
    trainable_params: int
    total_params: int
    peak_phase: str
    live_bytes: Bytes
    timeline: dict[str, Bytes]
    notes: tuple[str, ...] = ()
    categories: Categories | None = field(default=None, repr=False, compare=False)

    @property
    def record(self) -> Record | None:
        """The account the figures were read from; None where they were extrapolated."""
        return None if self.categories is None else self.categories.record

    def as_dict(self) -> dict[str, Any]:
        """The figures without the account."""
        return {key.name: getattr(self, key.name) for key in fields(self) if key.name != "categories"}


def read_record(categories: Categories, params: tuple[int, int], notes: tuple[str, ...] = ()) -> Measured:
    """Read the figures off a tracker's record; params are (trainable, total)."""
    record, live = categories.record, categories.live()
    totals = live.sum(axis=1)
    phases = list(phases_of(record))
    weights_at = max((i for i, phase in enumerate(phases) if phase == "loaded"), default=0)
    highest: dict[str, int] = {}
    for index, phase in enumerate(phases):
        if phase not in highest or totals[index] > totals[highest[phase]]:
            highest[phase] = index
    return Measured(
        weights_bytes=int(totals[weights_at]),
        peak_bytes=record.peak,
        steady_bytes=record.live,
        trainable_params=params[0],
        total_params=params[1],
        peak_phase=phases[record.peak_event],
        live_bytes=as_bytes(live[record.peak_event]),
        timeline={phase: as_bytes(live[index]) for phase, index in highest.items()},
        notes=notes,
        categories=categories,
    )


def total(live: Bytes) -> int:
    """All categories together."""
    return sum(live[category] for category in CATEGORIES)
