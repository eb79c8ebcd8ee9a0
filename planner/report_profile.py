"""What a person reads of a run, of three levels side by side, and of the history. Words and tables, no output."""

from collections.abc import Mapping, Sequence
from typing import Any

from planner.answer import PHASE_NAMES
from planner.report import CATEGORY_NAMES, Column, Report, Table, Text
from planner.runs.history import Row
from planner.side_by_side import Levels, SideBySide
from planner.units import format_count, format_gib, gib

_LEVEL_COLUMNS = (
    Column(""),
    Column("plan GiB", "number"),
    Column("trace GiB", "number"),
    Column("measured GiB", "number"),
    Column("plan/measured", "number"),
    Column("trace/measured", "number"),
)
_HISTORY_COLUMNS = (
    Column("run"),
    Column("when (UTC)"),
    Column("model"),
    Column("method"),
    Column("device"),
    Column("status"),
    Column("peak GiB", "number"),
    Column("plan/measured", "number"),
    Column("s/step", "number"),
)


def profile_report(record: Mapping[str, Any]) -> Report:
    """The peak first, then its parts, then times and what the machine saw; or how the run ended."""
    if record["status"] != "done":
        return (Text(f"{record['model']}, {record['method']}: {record['status']}: {record['error']}", "does not fit"),)
    return (
        Text(_headline(record)),
        Text(_times(record)),
        Text(_system(record)),
        _live(record["live_bytes"]),
        *(Text(f"Note: {note}", "note") for note in record["notes"]),
        Text(f"Measured on {_device(record)} with {_versions(record)}; run {record['run'][:8]}.", "note"),
    )


def _headline(record: Mapping[str, Any]) -> str:
    what = "a peak" if record["peak_is_peak"] else "with allocator retries, so no peak but"
    planned = record["plan"]["peak_bytes"]
    return (
        f"{record['model']}, {record['method']}: {what} of {format_gib(record['peak_bytes'], 3)} of tensors "
        f"(measured), in the phase: {PHASE_NAMES[record['peak_phase']]}; estimated {format_gib(planned, 3)}, "
        f"{planned / record['peak_bytes']:.4f} of it. Between steps {format_gib(record['steady_bytes'], 3)}; "
        f"{format_count(record['trainable_params'])} trained."
    )


def _times(record: Mapping[str, Any]) -> str:
    speed = f", {record['flops_per_second'] / 1e9:,.3g} GFLOP/s" if record["flops_per_second"] else ""
    return (
        f"A step takes {record['step_seconds_median']:.3g} s (median of {record['steps']}, spread "
        f"{record['step_seconds_spread']:.0%}): {record['tokens_per_second']:,.0f} tokens/s"
        f"{speed}. Followed storage by storage it took "
        f"{record['followed_step_seconds']:.3g} s."
    )


def _system(record: Mapping[str, Any]) -> str:
    parts = [f"process memory {format_gib(record['peak_rss_bytes'] or record['rss_bytes'], 2)} at most"]
    for name, words in (
        ("allocator_peak_bytes", "the allocator's own peak {}"),
        ("reserved_bytes", "reserved {}"),
        ("device_bytes", "on the device {} (all processes)"),
    ):
        if record.get(name):
            parts.append(words.format(format_gib(record[name], 3)))
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]} (measured)."


def _live(live: Mapping[str, int]) -> Table:
    rows = [(name, f"{gib(live[c]):.4f}") for c, name in CATEGORY_NAMES.items() if live.get(c)]
    return Table("At the peak", (Column("part"), Column("GiB", "number")), tuple(rows))


def _device(record: Mapping[str, Any]) -> str:
    return str(record["hardware"].get("name"))


def _versions(record: Mapping[str, Any]) -> str:
    return ", ".join(f"{library} {number}" for library, number in record["versions"].items())


def side_by_side_report(levels: SideBySide) -> Report:
    """Three levels: figures, categories, phases, and what explains the differences."""
    return (
        _table("Plan, trace and measurement", levels.figures),
        _table("Live at the peak, by category", levels.categories),
        _table("Highest moment of each phase", levels.phases),
        *(Text(f"{said[0].upper()}{said[1:]}.") for said in levels.explanations),
    )


def _table(title: str, rows: Sequence[Levels]) -> Table:
    return Table(title, _LEVEL_COLUMNS, tuple(_cells(row) for row in rows))


def _cells(row: Levels) -> tuple[str, ...]:
    counted = row.name.endswith("_params")
    values = ("" if v is None else f"{v:,}" if counted else f"{gib(v):.4f}" for v in (row.plan, row.trace, row.profile))
    ratios = ("" if ratio is None else f"{ratio:.5f}" for ratio in (row.plan_ratio, row.trace_ratio))
    name = PHASE_NAMES.get(row.name, row.name.removesuffix("_bytes").replace("_", " "))  # type: ignore[call-overload]
    return (name, *values, *ratios)


def history_report(rows: Sequence[Row]) -> Report:
    """The runs, the newest first."""
    if not rows:
        return (Text("No runs yet: `tunebudget profile MODEL --method METHOD` makes one."),)
    return (Table("", _HISTORY_COLUMNS, tuple(_history_cells(row) for row in rows)),)


def _history_cells(row: Row) -> tuple[str, ...]:
    return (
        row.run[:8],
        row.created_at[:16].replace("T", " "),
        row.model,
        row.method,
        row.device,
        row.status,
        "" if row.peak_bytes is None else f"{gib(row.peak_bytes):.4f}",
        "" if row.peak_ratio is None else f"{row.peak_ratio:.4f}",
        "" if row.step_seconds is None else f"{row.step_seconds:.3g}",
    )
