"""Three levels of truth side by side: plan, trace and measurement, and what explains their differences.

Pure comparison of answers; none of them knows of another.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from planner.answer import Plan
from planner.levels import Comparison, Row, compare_levels
from planner.units import format_gib

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Levels:
    """One figure at three levels; None where a level does not have it."""

    name: str
    plan: int
    trace: int | None
    profile: int | None

    @property
    def plan_ratio(self) -> float | None:
        """Plan over measurement."""
        return self.plan / self.profile if self.profile else None

    @property
    def trace_ratio(self) -> float | None:
        """Trace over measurement."""
        return self.trace / self.profile if self.profile and self.trace is not None else None

    def as_dict(self) -> dict[str, Any]:
        """The row with its ratios."""
        return asdict(self) | {"plan_ratio": self.plan_ratio, "trace_ratio": self.trace_ratio}


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Figures, categories at the peak and the highest moment of each phase, at three levels; and words."""

    figures: tuple[Levels, ...]
    categories: tuple[Levels, ...]
    phases: tuple[Levels, ...]
    explanations: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All rows as JSON."""
        parts = ("figures", "categories", "phases")
        rows = {part: [row.as_dict() for row in getattr(self, part)] for part in parts}
        return rows | {"explanations": list(self.explanations)}


def side_by_side(plan: Plan, trace: Answer | None, record: Answer) -> SideBySide:
    """A plan and a trace beside the record of the same request."""
    measured = compare_levels(plan, record)
    traced = compare_levels(plan, trace) if trace is not None else None
    figures, categories, phases = (_joined(part, measured, traced) for part in ("figures", "categories", "phases"))
    return SideBySide(figures, categories, phases, (*_tensors(figures, categories), *_machine(record)))


def _joined(part: str, measured: Comparison, traced: Comparison | None) -> tuple[Levels, ...]:
    by_level: list[dict[str, Row]] = [
        {row.name: row for row in getattr(comparison, part)} if comparison else {} for comparison in (traced, measured)
    ]
    names = list(dict.fromkeys(name for rows in reversed(by_level) for name in rows))
    return tuple(_levels(name, *(rows.get(name) for rows in by_level)) for name in names)


def _levels(name: str, traced: Row | None, measured: Row | None) -> Levels:
    known = measured or traced
    assert known is not None
    return Levels(name, known.plan, _other(traced), _other(measured))


def _other(row: Row | None) -> int | None:
    return None if row is None else row.other


def _tensors(figures: tuple[Levels, ...], categories: tuple[Levels, ...]) -> list[str]:
    """How far the levels are apart in tensor bytes, and where."""
    peak = next(row for row in figures if row.name == "peak_bytes")
    assert peak.profile is not None
    off = peak.plan - peak.profile
    if not off:
        said = ["plan and measurement agree to the byte at the peak"]
    else:
        apart = sorted(categories, key=lambda row: -abs(row.plan - (row.profile or 0)))[:2]
        where = ", ".join(f"{row.name} {row.plan - (row.profile or 0):+,}" for row in apart)
        said = [f"the plan's peak is {off:+,} bytes ({off / peak.profile:+.3%}) off the measured one: {where}"]
    if peak.trace is not None and peak.trace != peak.profile:
        said.append(
            f"the trace's peak is {peak.trace - peak.profile:+,} bytes off: kernels of the device keep other tensors"
        )
    return said


def _machine(record: Answer) -> list[str]:
    """What the machine used besides followed tensors."""
    said, peak = [], record["peak_bytes"]
    allocator = record.get("allocator_peak_bytes")
    if allocator:
        said.append(
            f"the allocator counted {allocator - peak:+,} bytes ({allocator / peak - 1:+.2%}): rounding, and what "
            "kernels allocate and free inside themselves"
        )
    reserved = record.get("reserved_bytes")
    if reserved and allocator:
        said.append(f"it reserved {reserved / allocator - 1:+.1%} over that: its segments and their gaps")
    rss, base = record.get("peak_rss_bytes"), record.get("base_rss_bytes")
    if rss and base and record["hardware"]["device"] == "cpu" and not record.get("slices"):
        said.append(
            f"the process held {format_gib(rss, 2)}: {format_gib(base, 2)} before the model (Python and the "
            f"libraries), {format_gib(rss - base, 2)} since, of which {format_gib(peak, 3)} tensors"
        )
    return said
