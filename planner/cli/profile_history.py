"""The history of runs on the command line: list, show, export, import, delete."""

from dataclasses import asdict
from pathlib import Path

from planner.cli.output import note, print_json, print_report
from planner.report import Text
from planner.report_profile import history_report, profile_report
from planner.runs import exchange
from planner.runs.history import History


def list_runs(as_json: bool) -> None:
    """All runs, the newest first."""
    history = History()
    rows = history.rows()
    _say(history)
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_report(history_report(rows))


def show(run: str, as_json: bool) -> None:
    """One record."""
    history = History()
    record = history.find(run)
    _say(history)
    if as_json:
        print_json(record)
    else:
        print_report(profile_report(record))


def export(path: Path, as_json: bool) -> None:
    """The whole history as a file."""
    history = History()
    records = history.records()
    _say(history)
    exchange.write(records, path)
    _done(f"{len(records)} runs written to {path}", {"runs": len(records), "file": str(path)}, as_json)


def take_in(path: Path, as_json: bool) -> None:
    """The runs of an exported file that are not here yet."""
    history = History()
    records = exchange.read(path)
    new = history.add(*records)
    _say(history)
    _done(f"{new} new of {len(records)} runs in {path}", {"new": new, "runs": len(records)}, as_json)


def delete(run: str, as_json: bool) -> None:
    """One run less."""
    history = History()
    record = history.delete(run)
    _say(history)
    _done(f"run {record['run'][:8]} deleted: {record['model']}, {record['method']}", {"run": record["run"]}, as_json)


def _done(text: str, data: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(data)
    else:
        print_report([Text(f"{text}.")])


def _say(history: History) -> None:
    for said in history.said:
        note(said)
