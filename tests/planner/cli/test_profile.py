"""``profile`` end to end: a real child on a tiny model, three levels side by side, the history, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.cli.root import tunebudget
from planner.runs.history import History
from tests.planner.runs.samples import TINY, record
from tests.stand_in import use_script


def run(*args: str) -> Result:
    return CliRunner().invoke(tunebudget, ["profile", *args])


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    return (str(tmp_path), "--method", "lora", "--max-length", "64", "--device", "cpu")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    monkeypatch.setattr("planner.cli.profile_run.check_packages", lambda _: None)
    return use_script(monkeypatch, tmp_path)


@pytest.mark.torch
def test_three_levels_of_a_real_run_agree(tiny: tuple[str, ...]) -> None:
    pytest.importorskip("bitsandbytes", reason="runs the real libraries")
    result = run(*tiny, "--compare", "--json", "--steps", "1", "--warmup", "0")
    assert result.exit_code == 0, result.stderr
    answer: dict[str, Any] = json.loads(result.stdout)
    plan, trace, profile = answer["plan"], answer["trace"], answer["profile"]
    assert profile["level"] == "profile" and len(profile["step_seconds"]) == profile["steps"] == 1
    assert profile["peak_bytes"] == trace["peak_bytes"] == pytest.approx(plan["peak_bytes"], rel=1e-3)
    assert profile["steady_bytes"] == trace["steady_bytes"] == plan["steady_bytes"]
    assert {"torch", "transformers", "peft"} <= set(profile["versions"])
    rows = {row["name"]: row for row in answer["comparison"]["figures"]}
    assert rows["weights_bytes"]["plan_ratio"] == rows["weights_bytes"]["trace_ratio"] == 1
    assert answer["comparison"]["explanations"]
    assert History().records() == [profile]


def test_a_run_out_of_memory_is_an_answer(tiny: tuple[str, ...], script: Callable[[str], None]) -> None:
    script("say({'error': {'kind': 'out of memory', 'message': 'out of memory: 9 GiB', 'field': None}})")
    result = run(*tiny, "--json")
    assert result.exit_code == 1
    assert result.stderr == "error: out of memory: 9 GiB\n"
    assert json.loads(result.stdout)["status"] == History().rows()[0].status == "out of memory"


def test_a_broken_library_is_a_record_and_one_line(tiny: tuple[str, ...], script: Callable[[str], None]) -> None:
    script("say({'error': {'kind': 'library', 'message': 'the libraries refuse: ImportError: x', 'field': None}})")
    result = run(*tiny)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "ImportError: x" in result.stderr
    assert len(History().rows()) == 1


def test_a_run_is_not_kept_where_that_is_asked(tiny: tuple[str, ...], script: Callable[[str], None]) -> None:
    script("say({'error': {'kind': 'library', 'message': 'x', 'field': None}})")
    run(*tiny, "--no-keep")
    assert History().rows() == []


def test_the_child_is_asked_what_the_flags_say(tiny: tuple[str, ...], script: Callable[[str], None]) -> None:
    script("say({'error': {'kind': 'library', 'message': json.dumps(task), 'field': None}})")
    result = run(*tiny, "--steps", "5", "--warmup", "2", "--seed", "7", "--num-layers", "1", "--memory-limit", "3")
    task = json.loads(result.stderr.removeprefix("error: "))
    assert {key: task["settings"][key] for key in ("steps", "warmup", "seed", "slices")} == {
        "steps": 5,
        "warmup": 2,
        "seed": 7,
        "slices": False,
    }
    assert task["request"]["model"] == TINY | {"num_hidden_layers": 1}


def test_what_does_not_fit_is_refused_before_it_starts(tiny: tuple[str, ...], script: Callable[[str], None]) -> None:
    script("raise SystemExit(9)")
    result = run(*tiny, "--memory-limit", "0.1")
    assert result.exit_code == 2
    assert "needs about" in result.stderr and "--force" in result.stderr
    assert History().rows() == []


def test_the_history_on_the_command_line(tmp_path: Path) -> None:
    History().add(record())
    assert "aaaaaaaa" in run("--list").stdout
    assert json.loads(run("--list", "--json").stdout)[0]["run"] == "a" * 32
    assert json.loads(run("--show", "last", "--json").stdout) == record()
    path = tmp_path / "runs.json"
    assert json.loads(run("--export", str(path), "--json").stdout) == {"runs": 1, "file": str(path)}
    assert "deleted: tiny, lora" in run("--delete", "aaa").stdout
    assert run("--show", "aaa").exit_code == 2
    assert json.loads(run("--import", str(path), "--json").stdout)["new"] == 1
    assert run("--export", str(tmp_path / "runs.csv")).exit_code == 0


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--list", "--show", "last"), "--list goes alone"),
        (("gpt2", "--list"), "--list goes alone (given: --list, model)"),
        (("--suite", "x", "--method", "lora"), "--suite goes alone"),
        ((), "MODEL is missing"),
        (("gpt2", "--method", "lora", "--num-layers", "99", "--device", "cpu"), "this model has 12 layers"),
        (("gpt2", "--method", "lora", "--device", "cpu", "--strategy", "ddp", "--num-gpus", "2"), "2"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(args: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.cli.profile_run.check_packages", lambda _: None)
    result = run(*args)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1 and said in result.stderr


def test_the_suite_writes_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run stands in for a real one; the last fails."""
    monkeypatch.setattr("planner.cli.profile_suite.check_packages", lambda _: None)

    def measured(request: Any, *_: Any) -> dict[str, Any]:
        failed = request.id == "small-qlora-256-checkpointing"
        changes = {"status": "killed", "error": "gone"} if failed else {}
        return record(f"{hash(request.id) & 2**60:032x}", id=request.id, allocator_peak_bytes=None, **changes)

    monkeypatch.setattr("planner.runs.suite.profile_here", measured)
    result = run("--suite", str(tmp_path / "out"), "--device", "cpu", "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 2
    assert answer["summary"] | {"num_runs": 24, "num_failed": 1, "median_error": 0.0} == answer["summary"]
    assert answer["summary"]["followed_over_free"] == {"tiny": pytest.approx(1.5)}
    report, page = (tmp_path / "out" / "report.md").read_text(), (tmp_path / "out" / "report.html").read_text()
    assert report.count("\n| tiny-") == 12 and "| small-qlora-256-checkpointing | killed |" in report
    assert page.count("<svg") == 2 and "<script" not in page and "http" not in page
