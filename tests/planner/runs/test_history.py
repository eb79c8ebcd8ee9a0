"""The history: kept, listed, found, deleted, exported and taken in again elsewhere."""

import csv
import io
import json
from pathlib import Path

import pytest

from planner.errors import RequestError
from planner.report_profile import history_report, profile_report
from planner.runs import exchange
from planner.runs.history import History, HistoryError
from tests.planner.runs.samples import MIB, record

OLD, NEW = record("ab" * 16), record("ac" * 16, created_at="2026-11-25T00:00:00+00:00", status="killed", error="gone")


@pytest.fixture
def history() -> History:
    found = History()
    assert found.add(OLD, NEW) == 2
    return found


def test_rows_are_listed_newest_first(history: History) -> None:
    rows = history.rows()
    assert [row.run for row in rows] == [NEW["run"], OLD["run"]]
    assert (rows[1].peak_bytes, rows[1].peak_ratio, rows[1].step_seconds, rows[1].device) == (
        100 * MIB,
        1.0,
        0.2,
        "Some CPU",
    )


def test_a_history_that_was_never_begun_is_empty_and_not_made(data_folder: Path) -> None:
    assert History().rows() == [] and list(data_folder.iterdir()) == []
    assert "No runs yet" in history_report([])[0].text


def test_records_are_found_by_their_beginning(history: History) -> None:
    assert history.find("ab") == OLD and history.find("last") == NEW
    for run, said in (("a", "2 runs"), ("x", "no run"), ("", "2 runs"), ("%", "no run")):
        with pytest.raises(HistoryError, match=said):
            history.find(run)


def test_one_record_is_deleted(history: History) -> None:
    assert history.delete("ab") == OLD
    assert history.records() == [NEW]


def test_a_record_is_kept_once(history: History) -> None:
    assert history.add(OLD) == 0 and len(history.rows()) == 2


def test_another_machine_takes_an_export_in(history: History, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    exchange.write(history.records(), path)
    elsewhere = History(tmp_path / "elsewhere.sqlite")
    assert elsewhere.add(*exchange.read(path)) == 2
    assert elsewhere.add(*exchange.read(path)) == 0
    assert elsewhere.records() == history.records()


def test_the_csv_has_a_line_a_run(history: History) -> None:
    rows = list(csv.DictReader(io.StringIO(exchange.as_csv(history.records()))))
    assert [row["status"] for row in rows] == ["done", "killed"]
    assert rows[0]["peak_bytes"] == str(100 * MIB) and rows[0]["max_length"] == "64" and rows[0]["torch"] == "2.13.0"


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"use \.json .* or \.csv"):
        exchange.write([], tmp_path / "runs.txt")
    with pytest.raises(RequestError, match="No such file"):
        exchange.read(tmp_path / "none.json")


def test_a_failed_run_reads_as_one_line() -> None:
    assert [block.text for block in profile_report(NEW)] == ["tiny, lora: killed: gone"]
    assert json.loads(exchange.as_json([OLD]))["runs"] == [OLD]
