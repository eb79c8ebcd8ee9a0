"""``claims``: one in full, as JSON, and an unknown one."""

import json

from click.testing import CliRunner

from planner.cli.root import tunebudget


def test_one_claim_in_full_and_as_json() -> None:
    result = CliRunner().invoke(tunebudget, ["claims", "c20"])
    assert result.exit_code == 0
    assert "Verdict: does not hold." in result.stdout
    answer = json.loads(CliRunner().invoke(tunebudget, ["claims", "c20", "--json"]).stdout)
    assert answer["id"] == "c20" and answer["checked"]["verdict"] == "does not hold"
    assert answer["checked"]["facts"]["d"]["value"] == 4096


def test_an_unknown_claim_is_one_line() -> None:
    result = CliRunner().invoke(tunebudget, ["claims", "c99"])
    assert result.exit_code == 2
    assert result.stderr == "error: claim 'c99' is not known: give one of c01 to c40\n"
