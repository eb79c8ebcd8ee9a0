"""``table``: models x methods x GPUs x counts x lengths x batches, to a file or to the terminal."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli.boundary import DOES_NOT_FIT, FITS, INTERRUPTED
from planner.cli.options import json_option, listed, request_fields, request_options
from planner.cli.output import note, print_json, print_report
from planner.cli.stop import stop_button
from planner.errors import RequestError

if TYPE_CHECKING:
    from planner.sweep.axes import Axes
    from planner.sweep.writers import Sheet
    from planner.sweep.writing import Written

#: Rows that a terminal is shown.
SHOWN_ROWS = 200
_OWN = ("id", "method", "gpu", "num_gpus", "max_length", "per_device_train_batch_size")


@click.command("table")
@click.option("--models", multiple=True, metavar="MODEL[,MODEL...]", help='Models of the catalogue, or "all".')
@click.option("--methods", multiple=True, metavar="METHOD[,METHOD...]", help="[default: full,lora,qlora]")
@click.option("--gpus", multiple=True, metavar="GPU[,GPU...]", help='Cards, or "all". [default: all that are rented]')
@click.option("--num-gpus", multiple=True, metavar="N[,N...]", help="Numbers of cards. [default: 1]")
@click.option("--lengths", multiple=True, metavar="N[,N...]", help="max_length, or START:STOP:STEP. [default: 1024]")
@click.option("--batch-sizes", multiple=True, metavar="N[,N...]", help="per_device_train_batch_size. [default: 1]")
@click.option("-o", "--output", metavar="FILE", help="Write .csv, .xlsx, .md, .json, .html or .parquet.")
@click.option("--cheapest", is_flag=True, help="Search: the cheapest plan for one model and a dataset.")
@click.option("--fastest", is_flag=True, help="Search: the fastest plan.")
@click.option("--deadline-hours", type=float, metavar="HOURS", help="Search: plans that take no longer.")
@click.option("--budget-usd", type=float, metavar="USD", help="Search: plans that cost no more.")
@click.option("--allow-tight", is_flag=True, help="Search: also plans that may run out of memory (verdict tight).")
@request_options(*_OWN)
@json_option
def command(
    models: tuple[str, ...],
    methods: tuple[str, ...],
    gpus: tuple[str, ...],
    num_gpus: tuple[str, ...],
    lengths: tuple[str, ...],
    batch_sizes: tuple[str, ...],
    output: str | None,
    cheapest: bool,
    fastest: bool,
    deadline_hours: float | None,
    budget_usd: float | None,
    allow_tight: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """A table of models, methods, cards, numbers of cards, lengths and batch sizes, each combined with each.

    Settings that all rows share are the request's flags; a combination that cannot be is a row that says why. Ctrl-C
    ends it with a valid file of the rows so far.

    With --cheapest, --fastest, a deadline or a budget: a search over all methods, cards, numbers of cards, ways of
    sharing, batch sizes, checkpointing and losses that are left open, for one model and a dataset (--num-tokens); the
    plans that no other beats in time and money, and why not the others. -o writes every option.
    """
    from planner.sweep.axes import axes_of
    from planner.sweep.goal import BATCHES, COUNTS, Goal

    if cheapest and fastest:
        raise RequestError("--cheapest with --fastest: name one; the front of time against money has both ends")
    if gpus and not listed(gpus):
        raise RequestError("--gpus is empty: name cards, or all, or leave it out for all that are rented")
    searching = cheapest or fastest or allow_tight or (deadline_hours, budget_usd) != (None, None)
    axes = axes_of(
        request_fields(flags),
        listed(models),
        listed(methods),
        listed(gpus),
        _sizes("--num-gpus", num_gpus) or (COUNTS if searching else ()),
        _sizes("--lengths", lengths),
        _sizes("--batch-sizes", batch_sizes) or (BATCHES if searching else ()),
    )
    if searching:
        from planner.cli.table_search import run_search

        return run_search(Goal(axes, deadline_hours, budget_usd, allow_tight), fastest, output, as_json)
    written = _write(axes, output, as_json)
    if written.stopped:
        return INTERRUPTED
    return FITS if written.fitting else DOES_NOT_FIT


def _write(axes: "Axes", output: str | None, as_json: bool) -> "Written":
    from planner.sweep.columns import COLUMNS
    from planner.sweep.notes import notes
    from planner.sweep.writers import Sheet

    sheet = Sheet(COLUMNS, notes(axes))
    if output is not None:
        return _to_file(axes, Path(output), sheet, as_json)
    return _to_stdout(axes, sheet) if as_json else _to_terminal(axes, sheet)


def _to_file(axes: "Axes", path: Path, sheet: "Sheet", as_json: bool) -> "Written":
    from planner.sweep.rows import blocks
    from planner.sweep.writing import write_file

    with stop_button() as stop, _bar(axes.num_rows) as show:
        written = write_file(path, blocks(axes), sheet, axes.num_rows, stop, show)
    if as_json:
        print_json({"file": str(path), **asdict(written)})
    of = f" of {axes.num_rows:,}, stopped" if written.stopped else ""
    note(f"{path}: {written.rows:,} rows{of}; {written.fitting:,} fit or are tight")
    return written


def _to_stdout(axes: "Axes", sheet: "Sheet") -> "Written":
    from planner.sweep.rows import blocks
    from planner.sweep.writing import write_to

    with stop_button() as stop:
        return write_to(sys.stdout.buffer, "json", blocks(axes), sheet, stop, lambda rows: None)


def _to_terminal(axes: "Axes", sheet: "Sheet") -> "Written":
    from planner.report_table import table_report
    from planner.sweep.rows import blocks
    from planner.sweep.writing import Written, fitting

    written, shown = Written(), []
    for block in blocks(axes):
        if written.rows < SHOWN_ROWS:
            shown.append(block)
        written.rows, written.fitting = written.rows + block.num_rows, written.fitting + fitting(block)
        if written.rows >= SHOWN_ROWS and written.fitting:
            break
    print_report(table_report(shown, SHOWN_ROWS))
    if axes.num_rows > SHOWN_ROWS:
        note(f"{SHOWN_ROWS} of {axes.num_rows:,} rows are shown: -o FILE writes them all, with every column")
    return written


@contextmanager
def _bar(num_rows: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda rows: None
        return
    from planner.cli.colour import terminal_bar

    with terminal_bar() as show:
        yield lambda rows: show(rows, num_rows, f"{rows:,} of {num_rows:,} rows")


def _sizes(flag: str, values: tuple[str, ...]) -> list[int]:
    """Whole numbers, and ranges of them with both ends."""
    return [size for value in listed(values) for size in _range(flag, value)]


def _range(flag: str, value: str) -> range:
    found = re.fullmatch(r"(\d{1,12})(?::(\d{1,12})(?::(\d{1,12}))?)?", value)
    start, stop, step = (int(part) if part else None for part in found.groups()) if found else (None, None, None)
    if start is None or step == 0 or (stop is not None and stop < start):
        raise RequestError(
            f"{flag} {value!r}: give whole numbers of at most 12 digits with commas, or START:STOP:STEP with START no "
            "more than STOP and STEP above 0 (as 512:4096:512)"
        )
    return range(start, (start if stop is None else stop) + 1, step or 1)
