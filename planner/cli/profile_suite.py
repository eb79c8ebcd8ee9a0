"""``profile --suite``: the standard grid of runs, kept in the history, and its report as report.md and report.html."""

from pathlib import Path

from planner.child import check_packages
from planner.cli.boundary import BAD_INPUT, FITS, INTERRUPTED
from planner.cli.output import note, print_json, print_report
from planner.cli.profile_run import keep_record, listener
from planner.errors import RequestError
from planner.report_suite import html, markdown, suite_report
from planner.runs.record import Record
from planner.runs.start import Options
from planner.runs.suite import grid, run_suite, summarize

TITLE = "Plan against profile: the standard suite"


def suite(folder: Path, device: str | None, options: Options, keep_it: bool, as_json: bool) -> int:
    """Run the grid; 0 where every run ended with an answer."""
    check_packages("profile")
    _make(folder)
    requests = list(grid(device))

    def finished(record: Record) -> None:
        keep_record(record, keep_it and record["status"] != "refused")
        note(f"{record['id']}: {record['status']}")

    with listener() as listening:
        records = run_suite(requests, options, listening, finished)
    summary = summarize(records)
    blocks = suite_report(records, summary)
    _write(folder / "report.md", markdown(TITLE, blocks))
    _write(folder / "report.html", html(TITLE, blocks, records))
    if as_json:
        print_json({"summary": summary.as_dict(), "runs": records, "folder": str(folder)})
    else:
        print_report(blocks)
        note(f"written: {folder / 'report.md'}, {folder / 'report.html'}")
    if len(records) < len(requests):
        return INTERRUPTED
    return BAD_INPUT if summary.num_failed else FITS


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"--suite {folder}: {error.strerror}; give a folder that can be written") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise RequestError(f"--suite {path}: {error.strerror}; the runs are in the history") from None
