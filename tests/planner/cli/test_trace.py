"""``trace`` end to end on a tiny model: the child runs the real libraries, the plan stands beside the trace."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from planner.cli.root import tunebudget

pytest.importorskip("torch", reason="trace runs the real libraries")
pytest.importorskip("bitsandbytes", reason="trace runs the real libraries")
pytestmark = pytest.mark.torch

TINY = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 12,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 512,
}


def run(tmp_path, *flags: str):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    args = ["trace", str(tmp_path), "--method", "lora", "--max-length", "64", "--device", "cpu", *flags]
    return CliRunner().invoke(tunebudget, args)


@pytest.fixture(scope="module")
def answer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The comparison as JSON; the trace in it is sliced. Starting a child takes longer than the trace."""
    result = run(tmp_path_factory.mktemp("compared"), "--compare", "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_trace_and_the_plan_agree(answer: dict[str, Any]) -> None:
    trace, plan = answer["trace"], answer["plan"]
    assert trace["level"] == "trace"
    assert trace["weights_bytes"] == plan["weights_bytes"]
    assert trace["steady_bytes"] == plan["steady_bytes"]
    assert trace["peak_bytes"] == pytest.approx(plan["peak_bytes"], rel=1e-4)
    assert sum(trace["live_bytes"].values()) == trace["peak_bytes"]
    assert sum(size for live in trace["module_bytes"].values() for size in live.values()) == trace["peak_bytes"]
    assert [peak["step"] for peak in trace["step_peaks"]] == [1, 2]
    assert max(moment["total_bytes"] for moment in trace["series"]) == trace["peak_bytes"]
    assert {row["phase"] for row in trace["timeline"]} < {row["phase"] for row in plan["timeline"]}
    assert all(row["ratio"] == pytest.approx(1, rel=1e-3) for row in answer["comparison"]["terms"] if row["plan"] > 1e5)
    assert len(answer["comparison"]["largest"]) <= 3


def test_slices_and_all_layers_give_the_same_peak(answer: dict[str, Any], tmp_path: Path) -> None:
    sliced, full = answer["trace"], json.loads(run(tmp_path, "--json", "--full").stdout)
    assert any("extrapolated" in note for note in sliced["notes"])
    assert not any("extrapolated" in note for note in full["notes"])
    assert sliced["peak_bytes"] == full["peak_bytes"]


def test_a_person_reads_the_peak_first(tmp_path) -> None:
    result = run(tmp_path, "--compare")
    assert result.exit_code == 0
    assert "of tensors (traced)" in result.stdout.splitlines()[0]
    assert "Plan beside trace" in result.stdout


def test_what_the_libraries_refuse_is_one_line(tmp_path) -> None:
    result = run(tmp_path, "--loss", "fused")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "killed"])
def test_a_stopped_trace_leaves_no_child(tmp_path, how: signal.Signals) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    command = [sys.executable, "-m", "planner", "trace", str(tmp_path), "--method", "full"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        if not children.exists():
            parent.kill()
            pytest.skip("this system does not list a process's children")
        child = wait_for(lambda: children.read_text().split())[0]
        parent.send_signal(how)
        out, err = parent.communicate(timeout=30)
    wait_for(lambda: not Path(f"/proc/{child}").exists())
    if how == signal.SIGINT:
        assert (parent.returncode, out, err.split()) == (130, "", ["stopped"])


def wait_for(ready):
    """What `ready` answers, once it is true."""
    for _ in range(300):
        if found := ready():
            return found
        time.sleep(0.1)
    raise AssertionError("waited 30 seconds in vain")
