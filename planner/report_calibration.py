"""What a person reads of a calibration. Words and tables, no output."""

from collections.abc import Sequence

from planner.report import Column, Report, Table, Text
from planner.runs.calibration import Calibration
from planner.units import format_gib

_COLUMNS = (
    Column("device"),
    Column("runs", "number"),
    Column("runtime overhead", "number"),
    Column("slack", "number"),
    Column("share of matrix speed"),
    Column("median error", "number"),
)


def calibration_report(calibrations: Sequence[Calibration]) -> Report:
    """The constants of each device."""
    return (
        Table("This machine, fitted to its measured runs", _COLUMNS, tuple(_cells(one) for one in calibrations)),
        Text("`tunebudget plan --calibrated` uses them for this machine's devices.", "note"),
    )


def _cells(one: Calibration) -> tuple[str, ...]:
    shares = ", ".join(f"{method} {share:.1%}" for method, share in one.flops_share.items())
    return (
        f"{one.name} ({one.device})",
        str(one.num_runs),
        format_gib(one.runtime_bytes, 2),
        f"{one.fragmentation_share:.1%}",
        shares,
        f"{one.median_error:.1%}",
    )
