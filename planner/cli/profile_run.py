"""One measured request, and the largest that runs, on the command line."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from planner.child import Progress, check_packages
from planner.cli.boundary import BAD_INPUT, DOES_NOT_FIT, FITS, INTERRUPTED
from planner.cli.output import note, print_json, print_report
from planner.cli.stop import stop_button
from planner.errors import PlannerError
from planner.runs.keep import keep
from planner.runs.record import OUT_OF_MEMORY, Record
from planner.runs.start import Listener, Options, plan_of, profile_here
from planner.schema import PlanRequest
from planner.units import format_gib


def measure(request: PlanRequest, options: Options, compare: bool, keep_it: bool, as_json: bool) -> int:
    """Measure, keep the record, show it."""
    check_packages("profile")
    with listener() as listening:
        record = profile_here(request, options, listening)
    keep_record(record, keep_it)
    if record["status"] == "done" and compare:
        _show_levels(record, as_json)
    elif as_json:
        print_json(record)
    else:
        from planner.report_profile import profile_report

        print_report(profile_report(record))
    return exit_of(record)


def measure_spread(request: PlanRequest, options: Options, keep_it: bool, as_json: bool) -> int:
    """Measure on several processes, keep the record, show it."""
    check_packages("profile")
    from planner.report_spread import spread_report
    from planner.runs.spread import profile_spread

    with listener() as listening:
        record = profile_spread(request, options, listening)
    keep_record(record, keep_it)
    if as_json:
        print_json(record)
    else:
        print_report(spread_report(record))
    return exit_of(record)


def keep_record(record: Record, keep_it: bool = True) -> None:
    """Keep a record in the history and say what went wrong with that, and with the run."""
    for said in keep(record) if keep_it else ():
        note(said)
    if record["status"] != "done":
        print("error:", record["error"], file=sys.stderr)


def exit_of(record: Record) -> int:
    """0: measured; 1: it does not fit this machine; 130: stopped; 2: it could not be run."""
    if record["status"] == "done":
        return FITS
    if record["status"] in OUT_OF_MEMORY:
        return DOES_NOT_FIT
    return INTERRUPTED if record["status"] == "stopped" else BAD_INPUT


def find_largest(request: PlanRequest, options: Options, what: str, keep_it: bool, as_json: bool) -> int:
    """The largest batch or length that really runs, beside the plan's."""
    check_packages("profile")
    from planner.report_find import find_report
    from planner.runs.find_batch import find_batch

    def tried(size: int, record: Record) -> None:
        for said in keep(record) if keep_it else ():
            note(said)
        note(f"{what} {size}: {record['status']}")

    with listener() as listening:
        found = find_batch(request, options, what, listening, tried)
    if as_json:
        print_json(found.as_dict())
    else:
        print_report(find_report(found))
    return FITS if found.largest else DOES_NOT_FIT


def _show_levels(record: Record, as_json: bool) -> None:
    from planner.report_profile import profile_report, side_by_side_report
    from planner.side_by_side import side_by_side

    plan, trace = plan_of(record), trace_of(record)
    levels = side_by_side(plan, trace, record)
    if as_json:
        print_json(
            {
                "plan": plan.model_dump(mode="json"),
                "trace": trace,
                "profile": record,
                "comparison": levels.as_dict(),
            }
        )
        return
    print_report((*profile_report(record), *side_by_side_report(levels)))


def trace_of(record: Record) -> dict[str, Any] | None:
    """The trace of a record's request; None, and a line, where it cannot be traced."""
    from planner.runs.start import trace_here

    try:
        return trace_here(record)
    except PlannerError as error:
        note(f"no trace beside it: {error.message}")
        return None


@contextmanager
def listener() -> Iterator[Listener]:
    """Progress on stderr and Ctrl-C as the stop button."""
    with stop_button() as pressed, _progress() as show:
        yield Listener(show, pressed)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None] | None]:
    from planner.cli.trace import progress_bar

    with progress_bar() as show:
        yield None if show is None else lambda progress: show(_with_peak(progress))


def _with_peak(progress: Progress) -> Progress:
    if progress.peak_bytes is None:
        return progress
    return Progress(progress.done, progress.of, f"{progress.what} (peak {format_gib(progress.peak_bytes, 3)})")
