"""``evidence --speed`` and ``calibrate --throughput``: what they show, refuse and write."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.catalog import measurements, tables
from planner.catalog.measurements import list_speeds
from planner.cli.root import tunebudget

FEW = ("fmsacc-s015", "fmsacc-s178", "mpt-s096", "mpt-s008", "qwen-s003", "qwen-s019")


def run(*args: str) -> Result:
    return CliRunner().invoke(tunebudget, list(args))


def as_json(*args: str) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_every_fully_stated_speed_is_in_the_json_the_worst_first() -> None:
    answer = as_json("evidence", "--speed")
    assert {row["id"] for row in answer["rows"]} == {row.id for row in list_speeds() if row.completeness == "full"}
    answered = [row for row in answer["rows"] if row["error"] is not None]
    assert answer["errors"]["answered"] == len(answered)
    far = [max(1 + row["error"], 1 / (1 + row["error"])) for row in answered]
    assert far == sorted(far, reverse=True)
    for row in answer["rows"]:
        assert row["source_url"].startswith("https://")
        assert (row["predicted_tokens_per_second"] is None) == bool(row["refusal"]), row["id"]


def test_speeds_are_shown_by_card_with_their_links() -> None:
    result = run("evidence", "--speed", "--by", "card", "--method", "qlora", "--worst", "2")
    assert result.exit_code == 0
    assert "Errors by card" in result.stdout and "a100-80gb-sxm" in result.stdout
    assert result.stdout.count("https://github.com/") == 2
    assert "Errors by framework" not in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("evidence", "--by", "card"), "add --speed"),
        (("evidence", "--speed", "--by", "metric"), "--speed with 'metric'"),
        (("evidence", "--speed", "--stack", "trl"), "--speed with 'stack'"),
        (("evidence", "--speed", "--model", "no such"), "no measured speed matches"),
        (("calibrate", "--published", "--throughput"), "fit the one, then the other"),
    ],
)
def test_what_does_not_go_together_is_refused(args: tuple[str, ...], said: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit to a few rows of three sources: seconds, not a minute."""
    rows = [row for row in list_speeds() if row.id in FEW]
    monkeypatch.setattr(measurements, "list_speeds", lambda: rows)


@pytest.mark.usefixtures("few")
def test_a_fit_is_shown_and_leaves_the_kept_one() -> None:
    kept = (tables.DATA_DIR / "throughput" / "constants.csv").read_text()
    result = run("calibrate", "--throughput")
    assert result.exit_code == 0
    assert "Each source under constants fitted to the others" in result.stdout
    assert "not written" in result.stderr
    assert (tables.DATA_DIR / "throughput" / "constants.csv").read_text() == kept


@pytest.mark.usefixtures("few")
def test_a_fit_is_written_where_it_is_told_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "throughput").mkdir()
    run("evidence", "--speed", "--worst", "0")  # what is read of data/ is kept before its place changes
    monkeypatch.setattr(tables, "DATA_DIR", tmp_path)
    fitted = as_json("calibrate", "--throughput", "--write")
    lines = (tmp_path / "throughput" / "constants.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [row["name"] for row in fitted["constants"]]
    assert fitted["fit"]["runs"] == len(FEW)
    assert set(fitted["left_out"]) == {row.source for row in list_speeds() if row.id in FEW}
    runs = (tmp_path / "throughput" / "runs.csv").read_text().splitlines()
    assert len(runs) == 1 + len(FEW) + 2  # two of them are asked with open adapters too
