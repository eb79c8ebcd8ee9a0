"""What a person reads of a run over several processes."""

from collections.abc import Mapping
from typing import Any

from planner.answer import PHASE_NAMES
from planner.report import Column, Report, Table, Text
from planner.units import format_gib, gib


def spread_report(record: Mapping[str, Any]) -> Report:
    """The worst rank's peak beside the plan, and every rank; or how the run ended."""
    if record["status"] != "done":
        return (Text(f"{record['model']}, {record['method']}: {record['status']}: {record['error']}", "does not fit"),)
    planned, peak = record["plan"]["peak_bytes"], record["peak_bytes"]
    ranks = tuple(
        (str(rank["rank"]), *(f"{gib(rank[name]):.4f}" for name in ("weights_bytes", "steady_bytes", "peak_bytes")))
        for rank in record["ranks"]
    )
    columns = (Column("rank"), *(Column(f"{what} GiB", "number") for what in ("weights", "between steps", "peak")))
    return (
        Text(
            f"{record['model']}, {record['method']}, {record['strategy']} over {record['num_processes']} processes: a "
            f"peak of {format_gib(peak, 3)} of tensors on the worst rank (measured), in the phase: "
            f"{PHASE_NAMES[record['peak_phase']]}; estimated {format_gib(planned, 3)}, {planned / peak:.4f} of it."
        ),
        Table("What each rank held (measured)", columns, ranks),
        *(Text(f"Note: {said}", "note") for said in record["notes"]),
        Text(f"Joined by {record['backend']}; run {record['run'][:8]}.", "note"),
    )
