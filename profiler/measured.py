"""What steps used, real or traced: the figures, without tensors."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from profiler.categories import CATEGORIES, Bytes, Categories
from profiler.live import Storages, as_storages, by_module_class, counts_at
from profiler.places import PHASES, phases_of
from profiler.series import Moment, as_series, rows_of
from profiler.storages import Record


@dataclass(frozen=True, slots=True)
class StepPeak:
    """The highest moment of one step; the second has the optimizer's states from its beginning."""

    step: int
    peak_bytes: int
    peak_phase: str
    live_bytes: Bytes


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of one request's steps; bytes of tensors, and counts of parameters.

    total_params counts a 4-bit weight by its packed bytes, as sum(p.numel()) does.  storages: what is live at the
    peak, alike ones together.  series: the highest moment of each layer in each phase of each step, in order.
    """

    weights_bytes: int
    peak_bytes: int
    steady_bytes: int
    trainable_params: int
    total_params: int
    peak_phase: str
    storages: tuple[Storages, ...]
    series: tuple[Moment, ...]
    notes: tuple[str, ...] = ()
    categories: Categories | None = field(default=None, repr=False, compare=False)

    @property
    def record(self) -> Record | None:
        """The account the figures were read from; None where they were extrapolated."""
        return None if self.categories is None else self.categories.record

    @property
    def live_bytes(self) -> Bytes:
        """At the peak, by category."""
        return {c: sum(s.bytes for s in self.storages if s.category == c) for c in CATEGORIES}

    @property
    def module_bytes(self) -> dict[str, Bytes]:
        """At the peak, by class of modules and category."""
        return by_module_class(self.storages)

    @property
    def timeline(self) -> dict[str, Bytes]:
        """The highest moment of each phase over the steps, by category."""
        highest: dict[str, Bytes] = {}
        for moment in self.series:
            if moment.phase not in highest or total(moment.live_bytes) > total(highest[moment.phase]):
                highest[moment.phase] = moment.live_bytes
        return {phase: highest[phase] for phase in PHASES if phase in highest}

    @property
    def step_peaks(self) -> tuple[StepPeak, ...]:
        """The highest moment of each step."""
        tops: dict[int, Moment] = {}
        for moment in self.series:
            if moment.step not in tops or total(moment.live_bytes) > total(tops[moment.step].live_bytes):
                tops[moment.step] = moment
        return tuple(StepPeak(n, total(m.live_bytes), m.phase, m.live_bytes) for n, m in tops.items() if n)

    def as_dict(self) -> dict[str, Any]:
        """The figures without the account, under the answer's names."""
        plain = {key.name: getattr(self, key.name) for key in fields(self) if key.name not in _MADE_PLAIN}
        timeline = self.timeline.items()
        return plain | {
            "live_bytes": self.live_bytes,
            "module_bytes": self.module_bytes,
            "timeline": [{"phase": p, "total_bytes": total(live), "live_bytes": live} for p, live in timeline],
            "step_peaks": [asdict(peak) for peak in self.step_peaks],
            "storages": [asdict(one) for one in self.storages],
            "series": [_point(moment) for moment in self.series],
        }


_MADE_PLAIN = ("categories", "storages", "series")


def _point(moment: Moment) -> dict[str, Any]:
    return {
        "step": moment.step,
        "phase": moment.phase,
        "module": moment.module,
        "total_bytes": total(moment.live_bytes),
        "live_bytes": moment.live_bytes,
    }


def read_record(categories: Categories, params: tuple[int, int], notes: tuple[str, ...] = ()) -> Measured:
    """Read the figures off a tracker's record; params are (trainable, total)."""
    record, live = categories.record, categories.live()
    phases = list(phases_of(record))
    loaded_at = max((i for i, phase in enumerate(phases) if phase == "loaded"), default=0)
    return Measured(
        weights_bytes=int(live[loaded_at].sum()),
        peak_bytes=record.peak,
        steady_bytes=record.live,
        trainable_params=params[0],
        total_params=params[1],
        peak_phase=phases[record.peak_event],
        storages=as_storages(counts_at(categories, record.peak_event)),
        series=as_series(rows_of(categories, live, loaded_at)),
        notes=notes,
        categories=categories,
    )


def total(live: Bytes) -> int:
    """All categories together."""
    return sum(live[category] for category in CATEGORIES)
