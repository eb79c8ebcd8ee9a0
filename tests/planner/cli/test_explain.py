"""``explain``: the list, one topic, a tour, a file, JSON, and refusals."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from planner.cli.root import tunebudget
from planner.learn.topics import TOPICS, TOURS


def run(*args: str) -> Result:
    return CliRunner().invoke(tunebudget, ["explain", *args])


def test_without_a_topic_all_are_listed() -> None:
    result = run()
    assert result.exit_code == 0
    assert all(name in result.stdout for name in (*TOPICS, *TOURS))
    listed = json.loads(run("--json").stdout)
    assert set(listed["topics"]) == set(TOPICS) and set(listed["tours"]) == set(TOURS)


def test_a_topic_is_about_the_model_and_settings_given() -> None:
    result = run("memory", "--model", "qwen3-4b", "--method", "qlora", "--max-length", "777")
    assert result.exit_code == 0
    assert result.stdout.startswith("# Where memory goes in one training step")
    assert "Qwen3-4B is trained by QLoRA, 1 x 777 tokens" in result.stdout


def test_a_tour_is_its_topics_in_order() -> None:
    result = run("full", "--model", "gpt2")
    titles = [line for line in result.stdout.splitlines() if line.startswith("# ")]
    assert titles == [f"# {TOPICS[name].title}" for name in TOURS["full"]]


def test_a_file_has_latex_and_a_terminal_has_text(tmp_path: Path) -> None:
    path = tmp_path / "states.md"
    result = run("states", "-o", str(path))
    assert result.exit_code == 0 and result.stdout == ""
    assert "$$\nW = N \\times b_{\\text{w}}\n$$" in path.read_text()
    assert "$$" not in run("states").stdout


def test_json_has_blocks_and_every_value_with_its_origin() -> None:
    walk = json.loads(run("states", "--model", "gpt2", "--json").stdout)[0]
    assert walk["topic"] == "states" and walk["request"]["model"] == "gpt2"
    assert {block["kind"] for block in walk["blocks"]} >= {"heading", "prose", "formula", "grid", "code"}
    assert walk["values"]["N"]["value"] == 124_439_808
    assert all(value["origin"] for value in walk["values"].values())


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["loar"], "error: topic 'loar' is not known; topics: "),
        (["memory", "--model", "no-such-model"], "error: model 'no-such-model'"),
        (["memory", "-o", "/no/such/folder/x.md"], "error: -o '/no/such/folder/x.md': "),
        (["memory", "--max-length", "0"], "error: max_length"),
    ],
)
def test_a_refusal_is_one_line(args: list[str], message: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert result.stderr.startswith(message) and result.stderr.count("\n") == 1
