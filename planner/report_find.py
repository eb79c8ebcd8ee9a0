"""What a person reads of a search for the largest batch or length. Words and tables, no output."""

from planner.report import Column, Report, Table, Text
from planner.runs.find_batch import Found, Try
from planner.units import format_gib, gib

_COLUMNS = (
    Column("size", "number"),
    Column("ran"),
    Column("estimated peak GiB", "number"),
    Column("measured peak GiB", "number"),
    Column("in use GiB", "number"),
)


def find_report(found: Found) -> Report:
    """The answer in a sentence, then the runs."""
    return (Text(_answer(found)), Table("", _COLUMNS, tuple(_cells(one) for one in found.tries)))


def _answer(found: Found) -> str:
    limit, runs = format_gib(found.limit_bytes, 2), f"{len(found.tries)} runs"
    if found.largest is None:
        return f"No {found.what} runs here: {found.smallest_failing} needs more than {limit} (measured in {runs})."
    edge = "it was not driven further" if found.smallest_failing is None else f"{found.smallest_failing} does not"
    text = f"The largest {found.what} that runs here within {limit} is {found.largest} (measured in {runs}; {edge}). "
    if found.planned is None:
        return f"{text}The plan says that none fits."
    return f"{text}The plan says {found.planned}: {found.ratio:.3f} of it."


def _cells(one: Try) -> tuple[str, ...]:
    measured = ("" if b is None else f"{gib(b):.3f}" for b in (one.peak_bytes, one.used_bytes))
    return (f"{one.size:,}", one.status if not one.ran else "yes", f"{gib(one.planned_peak_bytes):.3f}", *measured)
