"""The drill command: a session at the end of a pipe, a mock interview, JSON, refusals."""

import json

import pytest
from click.testing import CliRunner, Result

from planner.cli.root import tunebudget
from planner.drills.draw import drawn
from planner.drills.marking import right_answer


def run(*args: str, said: str = "") -> Result:
    return CliRunner().invoke(tunebudget, ["drill", *args], input=said)


def test_right_answers_score_in_full_and_each_is_derived() -> None:
    found = drawn(5, 6)
    result = run("--seed", "5", "--count", "6", said="".join(f"{right_answer(drill)}\n" for drill in found))
    assert result.exit_code == 0
    assert result.stdout.count("Right.") == sum(drill.kind != "open" for drill in found)
    assert "Score: 6 of 6" in result.stdout
    for drill in found:
        assert drill.text in result.stdout and drill.derivation[-1] in result.stdout


def test_what_cannot_be_read_is_asked_again_and_nothing_is_a_skip() -> None:
    result = run("--seed", "1", "--topic", "weights", "--count", "2", said="a lot\n1 GiB\n\n")
    assert "'a lot' is no number" in result.stdout
    assert "Skipped." in result.stdout
    assert "Score: 0 of 2" in result.stdout


def test_the_end_of_the_input_ends_the_session() -> None:
    result = run("--seed", "1", "--count", "3", said="")
    assert result.exit_code == 0
    assert "No question was answered." in result.stdout


def test_a_mock_interview_derives_at_the_end() -> None:
    found = drawn(2, 10)
    text = run("--seed", "2", "--mock", said="\n" * 10).stdout
    assert "10 questions, 20 minutes." in text
    last_question = text.index(f"10/10, 0 min [{found[-1].topic}]")
    assert text.index(found[0].derivation[0]) > last_question
    assert "Score: 0 of 10" in text


def test_json_has_the_answers() -> None:
    answer = json.loads(run("--seed", "4", "--count", "5", "--json").stdout)
    assert answer["seed"] == 4
    assert [drill["value"] for drill in answer["drills"]] == [drill.value for drill in drawn(4, 5)]
    assert all(drill["request"] and drill["shown"] for drill in answer["drills"])


def test_a_new_seed_is_told() -> None:
    assert "`tunebudget drill --seed " in run("--count", "1").stdout


@pytest.mark.parametrize("args", [("--topic", "nothing"), ("--seed", "-1"), ("--count", "0"), ("--seed", "x")])
def test_refusals_are_one_line(args: tuple[str, str]) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert len(result.stderr.strip().splitlines()) == 1
