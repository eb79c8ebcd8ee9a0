"""What a person reads of a trace, and of a plan beside it. Words and tables, no output."""

from collections.abc import Mapping, Sequence
from typing import Any

from planner.answer import PHASE_NAMES, PHASES
from planner.levels import Comparison, Row
from planner.report import CATEGORY_NAMES, Column, Report, Table, Text
from planner.units import format_count, format_gib, gib

_ROW_COLUMNS = (
    Column(""),
    Column("plan GiB", "number"),
    Column("trace GiB", "number"),
    Column("ratio", "number"),
    Column("difference GiB", "number"),
)


def trace_report(name: str, answer: Mapping[str, Any]) -> Report:
    """The peak first, then its parts, then the phases."""
    phase = PHASE_NAMES[answer["peak_phase"]]
    versions = ", ".join(f"{library} {number}" for library, number in answer["versions"].items())
    return (
        Text(
            f"{name}, {answer['method']}: a peak of {format_gib(answer['peak_bytes'])} of tensors (traced), "
            f"in the phase: {phase}. Between steps {format_gib(answer['steady_bytes'])}."
        ),
        Text(f"Weights {format_gib(answer['weights_bytes'])}; {format_count(answer['trainable_params'])} trained."),
        _live_table("At the peak", answer["live_bytes"]),
        _timeline_table(answer["timeline"]),
        *(Text(f"Note: {note}", "note") for note in answer["notes"]),
        Text(f"Traced with {versions}.", "note"),
    )


def comparison_report(comparison: Comparison) -> Report:
    """Plan and trace side by side: figures, categories, phases, and the largest differences in words."""
    largest = comparison.largest()
    words = "; ".join(f"{_name(row)} {gib(row.difference):+.4f} GiB" for row in largest)
    return (
        _rows_table("Plan beside trace", comparison.figures),
        _rows_table("Live at the peak, by category", comparison.categories),
        _rows_table("Highest moment of each phase", comparison.phases),
        Text(f"Largest differences (plan - trace): {words}." if words else "Plan and trace agree to the byte."),
    )


def _live_table(title: str, live: Mapping[str, int]) -> Table:
    rows = [(name, f"{gib(live[c]):.3f}") for c, name in CATEGORY_NAMES.items() if live.get(c)]
    return Table(title, (Column("part"), Column("GiB", "number")), tuple(rows))


def _timeline_table(timeline: Mapping[str, Mapping[str, int]]) -> Table:
    rows = [(PHASE_NAMES[p], f"{gib(sum(timeline[p].values())):.3f}") for p in PHASES if p in timeline]
    return Table("Highest moment of each phase", (Column("phase"), Column("GiB", "number")), tuple(rows))


def _rows_table(title: str, rows: Sequence[Row]) -> Table:
    return Table(title, _ROW_COLUMNS, tuple(_cells(row) for row in rows))


def _cells(row: Row) -> tuple[str, ...]:
    if row.name == "trainable_params":
        plan, other, difference = f"{row.plan:,}", f"{row.other:,}", f"{row.difference:+,}"
    else:
        plan, other, difference = f"{gib(row.plan):.4f}", f"{gib(row.other):.4f}", f"{gib(row.difference):+.4f}"
    return (_name(row), plan, other, "" if row.ratio is None else f"{row.ratio:.5f}", difference)


def _name(row: Row) -> str:
    if row.name in PHASE_NAMES:
        return PHASE_NAMES[row.name]
    return row.name.removesuffix("_bytes").replace("_", " ")
