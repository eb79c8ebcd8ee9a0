"""``evidence`` and ``calibrate``: what they show, filter, refuse and write."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.catalog import tables
from planner.catalog.measurements import list_own_runs, list_runs
from planner.cli.root import tunebudget


def run(*args: str) -> Result:
    return CliRunner().invoke(tunebudget, list(args))


def as_json(*args: str) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_every_measured_figure_is_in_the_json() -> None:
    answer = as_json("evidence")
    assert {row["id"] for row in answer["rows"]} == {row.id for row in (*list_runs(), *list_own_runs())}
    for row in answer["rows"]:
        assert row["source_url"].startswith("https://") or row["origin"] == "own", row["id"]
        assert (row["predicted_bytes"] is None) == bool(row["refusal"]), row["id"]


def test_the_worst_stand_first() -> None:
    rows = [row for row in as_json("evidence")["rows"] if row["error"] is not None and row["origin"] == "published"]
    far = [
        max(row["predicted_bytes"] / row["measured_bytes"], row["measured_bytes"] / row["predicted_bytes"])
        for row in rows
    ]
    assert far == sorted(far, reverse=True)


def test_the_errors_are_those_of_the_fully_stated_rows() -> None:
    answer = as_json("evidence")
    full = [r for r in answer["rows"] if r["full"] and r["origin"] == "published" and not r["ran_out"]]
    assert answer["errors"]["figures"] == len(full)
    for groups in answer["errors_by"].values():
        assert sum(group["figures"] for group in groups) == len(full)


@pytest.mark.parametrize(
    ("flag", "text", "field"),
    [("--stack", "litgpt", "stack"), ("--method", "QLoRA", "method"), ("--metric", "nvidia_smi", "metric")],
)
def test_a_filter_keeps_what_it_names(flag: str, text: str, field: str) -> None:
    rows = as_json("evidence", flag, text)["rows"]
    assert rows
    assert {row[field] for row in rows} == {text.lower()}


def test_a_model_is_named_by_a_part_of_its_name() -> None:
    rows = as_json("evidence", "--model", "tinyllama")["rows"]
    assert rows
    assert all("TinyLlama" in row["model"] for row in rows)


def test_what_matches_nothing_is_refused_in_one_line() -> None:
    result = run("evidence", "--method", "no-such")
    assert result.exit_code == 2
    assert "--method 'no-such'" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_report_has_groups_verdicts_worst_rows_and_refusals() -> None:
    text = run("evidence", "--by", "model", "--worst", "3").stdout
    for heading in ("Errors by model", "Chance to run out of memory", "The 3 figures furthest off", "Refused"):
        assert heading in text
    assert "called does not fit" in text
    assert "https://" in text


def test_calibrate_says_what_to_give() -> None:
    result = run("calibrate")
    assert result.exit_code == 2
    assert "--published" in result.stderr


def test_calibrate_shows_a_fit_and_leaves_the_kept_one() -> None:
    kept = (tables.DATA_DIR / "bands" / "bands.csv").read_text()
    result = run("calibrate", "--published")
    assert result.exit_code == 0
    assert "Leave one source out" in result.stdout
    assert (tables.DATA_DIR / "bands" / "bands.csv").read_text() == kept


def test_calibrate_writes_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is written reads back as the same rows: the fit of the JSON."""
    shutil.copytree(tables.DATA_DIR, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(tables, "DATA_DIR", tmp_path)
    fitted = as_json("calibrate", "--published", "--write")
    lines = (tmp_path / "bands" / "bands.csv").read_text().splitlines()
    assert len(lines) == 1 + len(fitted["bands"])
    assert lines[1].split(",")[:4] == [fitted["bands"][0][name] for name in ("device", "devices", "certainty", "stack")]
    assert len((tmp_path / "bands" / "runs.csv").read_text().splitlines()) == 1 + len(fitted["runs"])
    assert fitted["fits"][0]["coverage"] >= 0.9
