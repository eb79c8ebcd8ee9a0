"""What a person reads of a trace, and of a plan beside it. Words and tables, no output."""

from collections.abc import Mapping, Sequence
from typing import Any

from planner.answer import PHASE_NAMES
from planner.levels import Comparison, Row
from planner.report import CATEGORY_NAMES, Column, Report, Table, Text
from planner.units import format_count, format_gib, gib

#: Rows of a table of many parts; the rest stands in one.
MAX_ROWS = 8

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
        Text(_steps_text(answer["step_peaks"])),
        _live_table("At the peak", answer["live_bytes"]),
        _modules_table(answer["module_bytes"]),
        _timeline_table(answer["timeline"]),
        *(Text(f"Note: {note}", "note") for note in answer["notes"]),
        Text(f"Traced with {versions}.", "note"),
    )


def comparison_report(comparison: Comparison) -> Report:
    """Plan and trace side by side: figures, categories, phases, and the largest differences in words."""
    largest = comparison.largest()
    words = "; ".join(f"{_name(row)} {gib(row.difference):+.4f} GiB" for row in largest)
    terms = _shown_terms(comparison)
    return (
        _rows_table("Plan beside trace", comparison.figures),
        _rows_table("Live at the peak, by category", comparison.categories),
        _rows_table("Highest moment of each phase", comparison.phases),
        *([_rows_table("Live at the peak, term by term", terms)] if terms else []),
        Text(f"Largest differences (plan - trace): {words}." if words else "Plan and trace agree to the byte."),
    )


def _steps_text(peaks: Sequence[Mapping[str, Any]]) -> str:
    """The peak of each step: the first has no optimizer states until its end."""
    parts = [f"step {p['step']} {format_gib(p['peak_bytes'])} ({PHASE_NAMES[p['peak_phase']]})" for p in peaks]
    return f"Peaks: {', '.join(parts)}."


def _shown_terms(comparison: Comparison) -> list[Row]:
    """The terms that a person sees: the largest, those that differ most, and the rest as one."""
    keep = {id(row) for row in (*comparison.terms[:MAX_ROWS], *comparison.largest())}
    shown = [row for row in comparison.terms if id(row) in keep]
    rest = [row for row in comparison.terms if id(row) not in keep]
    if rest:
        shown.append(Row(f"{len(rest)} smaller", sum(row.plan for row in rest), sum(row.other for row in rest)))
    return shown


def _live_table(title: str, live: Mapping[str, int]) -> Table:
    rows = [(name, f"{gib(live[c]):.3f}") for c, name in CATEGORY_NAMES.items() if live.get(c)]
    return Table(title, (Column("part"), Column("GiB", "number")), tuple(rows))


def _modules_table(modules: Mapping[str, Mapping[str, int]]) -> Table:
    """The largest classes of modules, what each holds most of, and the rest as one."""
    largest = sorted(modules.items(), key=lambda item: -sum(item[1].values()))
    rows = [(name or "the step", *_class_cells(live)) for name, live in largest[:MAX_ROWS]]
    if rest := largest[MAX_ROWS:]:
        rows.append((f"{len(rest)} smaller", f"{gib(sum(sum(live.values()) for _, live in rest)):.3f}", ""))
    columns = (Column("class of module"), Column("GiB", "number"), Column("of which"))
    return Table("At the peak, by class of module", columns, tuple(rows))


def _class_cells(live: Mapping[str, int]) -> tuple[str, str]:
    parts = sorted(((b, CATEGORY_NAMES[c]) for c, b in live.items() if b and c in CATEGORY_NAMES), reverse=True)
    return f"{gib(sum(live.values())):.3f}", ", ".join(f"{name} {gib(b):.3f}" for b, name in parts[:3])


def _timeline_table(timeline: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple((PHASE_NAMES[row["phase"]], f"{gib(row['total_bytes']):.3f}") for row in timeline)
    return Table("Highest moment of each phase", (Column("phase"), Column("GiB", "number")), rows)


def _rows_table(title: str, rows: Sequence[Row]) -> Table:
    return Table(title, _ROW_COLUMNS, tuple(_cells(row) for row in rows))


def _cells(row: Row) -> tuple[str, ...]:
    if row.name == "trainable_params":
        plan, other, difference = f"{row.plan:,}", f"{row.other:,}", f"{row.difference:+,}"
    else:
        plan, other, difference = f"{gib(row.plan):.4f}", f"{gib(row.other):.4f}", f"{gib(row.difference):+.4f}"
    return (_name(row), plan, other, _ratio(row), difference)


def _ratio(row: Row) -> str:
    """The ratio; where one level has next to nothing it says no more than the difference."""
    return "" if row.ratio is None or row.ratio >= 100 else f"{row.ratio:.5f}"


def _name(row: Row) -> str:
    if row.name in PHASE_NAMES:
        return PHASE_NAMES[row.name]
    return row.name.removesuffix("_bytes").replace("_", " ")
