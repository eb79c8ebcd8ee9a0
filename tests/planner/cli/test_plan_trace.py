"""``plan --trace`` end to end, for a model_type that the planner does not know: traced once, then from the cache."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from planner.cache import VARIABLE
from planner.cli import plan_trace
from planner.cli.root import tunebudget

pytest.importorskip("torch", reason="trace runs the real libraries")
pytest.importorskip("bitsandbytes", reason="trace runs the real libraries")
pytestmark = pytest.mark.torch

XGLM = {"model_type": "xglm", "d_model": 64, "ffn_dim": 128, "num_layers": 2, "attention_heads": 4, "vocab_size": 500}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traced")
    (path / "config.json").write_text(json.dumps(XGLM))
    return path


@pytest.fixture(autouse=True)
def own_cache(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(folder / "cache"))


def run(folder: Path, *flags: str) -> Result:
    return CliRunner().invoke(tunebudget, ["plan", str(folder), "--method", "lora", "--trace", *flags])


def answer(folder: Path, *flags: str) -> dict[str, Any]:
    result = run(folder, "--json", *flags)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture
def kept(folder: Path) -> Path:
    """The file of a first answer."""
    answer(folder, "--batch-size", "2")
    (file,) = (folder / "cache" / "traces").glob("*.json")
    return file


@pytest.fixture
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the child was started")

    monkeypatch.setattr(plan_trace, "run_child", refuse)


def test_an_unknown_model_type_names_the_flag(folder: Path) -> None:
    result = CliRunner().invoke(tunebudget, ["plan", str(folder), "--method", "lora"])
    assert result.exit_code == 2 and "plan --trace" in result.stderr


def test_another_size_is_answered_from_the_cache(folder: Path, kept: Path, no_child: None) -> None:
    small, large = answer(folder, "--batch-size", "2"), answer(folder, "--batch-size", "8")
    assert small["certainty"] == large["certainty"] == "traced"
    assert small["weights_bytes"] == large["weights_bytes"] > 0
    assert 3.9 < large["logits_bytes"] / small["logits_bytes"] < 4.1
    assert "(tensors traced, the rest estimated" in run(folder, "--batch-size", "3").stdout


@pytest.mark.parametrize("content", ["{", "{}", '{"phases": {"loaded": [[["x"]]]}}'])
def test_a_broken_file_is_traced_again_with_a_note(
    folder: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    good = kept.read_text()
    monkeypatch.setattr(plan_trace, "run_child", lambda *_: json.loads(good))
    kept.write_text(content)
    assert any("is ignored" in note for note in answer(folder, "--batch-size", "2")["notes"])
    assert json.loads(kept.read_text()) == json.loads(good)


def test_several_devices_and_a_batch_of_requests_are_refused_in_one_line(folder: Path, no_child: None) -> None:
    for flags in (["--num-gpus", "2", "--strategy", "ddp"], ["--batch", "x.jsonl"]):
        result = run(folder, *flags)
        assert result.exit_code == 2 and result.stderr.count("\n") == 1
