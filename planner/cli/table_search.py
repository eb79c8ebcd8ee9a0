"""``table --cheapest`` and ``--fastest``: the plans worth choosing for a goal, and why not the others."""

from pathlib import Path
from typing import Any

from planner.cli.boundary import DOES_NOT_FIT, FITS
from planner.cli.output import note, print_json, print_report
from planner.sweep.goal import Goal
from planner.sweep.notes import notes
from planner.sweep.search import OPTION_COLUMNS, Search, search
from planner.sweep.writers import Sheet, check_rows, format_of
from planner.sweep.writing import write_file


def run_search(goal: Goal, fastest: bool, output: str | None, as_json: bool) -> int:
    """Search, show what was found, and write every option where a file is named."""
    if output is not None:
        format_of(Path(output))
    found = search(goal)
    if output is not None:
        _write(found, Path(output))
    if as_json:
        print_json(_answer(found))
    elif output is None:
        from planner.report_table import search_report

        print_report(search_report(found, fastest))
    return DOES_NOT_FIT if found.cheapest is None else FITS


def _write(found: Search, path: Path) -> None:
    check_rows(path, found.options.num_rows)
    sheet = Sheet(OPTION_COLUMNS, notes(found.goal.axes))
    write_file(path, [found.table()], sheet, found.options.num_rows, lambda: False, lambda rows: None)
    note(f"{path}: {found.options.num_rows:,} options; {len(found.front)} on the front of time against money")


def _answer(found: Search) -> dict[str, Any]:
    front = [int(place) for place in found.front]
    rows = found.rows(front)
    return {
        "cheapest": rows[-1] if rows else None,
        "fastest": rows[0] if rows else None,
        "front": rows,
        "options": found.options.num_rows,
        "outcomes": found.counts,
        "best_by_card": _reasons(found),
    }


def _reasons(found: Search) -> list[dict[str, Any]]:
    places = found.best_by_card()
    return [
        row | {"reason": found.reason(place) or None} for place, row in zip(places, found.rows(places), strict=True)
    ]
