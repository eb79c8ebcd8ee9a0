"""The command `table`: to a file, to the terminal, as JSON; stopped, and refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from planner.cli.root import tunebudget

ROOT = Path(__file__).parents[3]


def run(*args: str) -> Result:
    return CliRunner().invoke(tunebudget, ["table", *args])


def test_a_file_has_a_row_for_each_combination(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    found = run("--models", "gpt2,llama-3.2-1b", "--gpus", "t4", "--num-gpus", "1,2", "--lengths", "256:1024:256", "-o")
    assert found.exit_code == 2
    sizes = ("--num-gpus", "1,2", "--lengths", "256:1024:256", "--batch-sizes", "1,2")
    found = run("--models", "gpt2,llama-3.2-1b", "--gpus", "t4", *sizes, "--lora-r", "64", "-o", str(path), "--json")
    assert found.exit_code == 0
    frame = pd.read_csv(path)
    assert len(frame) == 2 * 3 * 2 * 4 * 2 == json.loads(found.stdout)["rows"]
    assert sorted(set(frame.max_length)) == [256, 512, 768, 1024]
    assert "96 rows" in found.stderr


def test_json_on_stdout_is_one_document() -> None:
    found = run("--models", "gpt2", "--gpus", "t4", "--methods", "full", "--json")
    answer = json.loads(found.stdout)
    assert found.exit_code == 0 and found.stderr == ""
    assert answer["rows"][0]["verdict"] == "fits"


def test_a_terminal_gets_the_first_rows_and_the_reasons() -> None:
    found = run("--models", "gpt2", "--gpus", "t4", "--methods", "full", "--lengths", "1:2000")
    lines = found.stdout.splitlines()
    assert lines[0].split()[:5] == ["model", "method", "gpu", "num_gpus", "length"]
    assert sum("openai-community/gpt2" in line for line in lines) == 200
    assert "200 of 2,000 rows are shown" in found.stderr


def test_the_exit_code_says_whether_any_fits() -> None:
    assert run("--models", "llama-3.1-8b", "--gpus", "t4", "--methods", "full").exit_code == 1
    refused = run("--models", "gpt2", "--gpus", "t4", "--methods", "full", "--lengths", "4096")
    assert refused.exit_code == 1 and "Refused: max_length 4096" in refused.stdout


def test_rows_that_are_not_shown_count_for_the_exit_code() -> None:
    first_too_large = ("--models", "llama-3.3-70b,gpt2", "--gpus", "t4", "--methods", "full", "--lengths", "1:250")
    found = run(*first_too_large)
    assert found.exit_code == 0 and found.stdout.count("does not fit") == 200


def test_large_numbers_are_written_out() -> None:
    found = run("--models", "gpt2", "--gpus", "h100-sxm", "--num-gpus", "8", "--methods", "full", "--lengths", "1024")
    assert found.exit_code == 0 and "e+" not in found.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "--models is missing"),
        (("--models", "gpt2", "--lengths", "1:2:0"), "--lengths '1:2:0': give whole numbers"),
        (("--models", "gpt2", "--lengths", "8:4:1"), "START no more than STOP"),
        (("--models", "gpt2", "--gpus", ""), "--gpus is empty"),
        (("--models", "gpt2", "--cheapest", "--fastest"), "--cheapest with --fastest"),
        (("--models", "gpt2", "--num-gpus", "two"), "--num-gpus 'two': give whole numbers"),
        (("--models", "gpt2", "-o", "a.doc"), "the ending says the format"),
        (
            ("--models", "gpt2", "--gpus", "t4", "--lengths", "1:1024", "--batch-sizes", "1:1024", "-o", "a.xlsx"),
            "Excel",
        ),
        (("--models", "gpt2", "--optim", "mine"), "optim"),
    ],
)
def test_refusals_are_one_line(args: tuple[str, ...], said: str) -> None:
    found = run(*args)
    assert found.exit_code == 2 and said in found.stderr and len(found.stderr.splitlines()) == 1


def test_ctrl_c_leaves_a_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    words = ["--models", "all", "--gpus", "all", "--num-gpus", "1,2,4,8", "--lengths", "64:1024:64", "-o", str(path)]
    command = [sys.executable, "-m", "planner", "table", *words]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not any(file.stat().st_size > 100_000 for file in tmp_path.iterdir()) and child.poll() is None:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=60)[1]
    assert child.returncode == 130 and "stopped" in said
    assert os.listdir(tmp_path) == ["table.csv"]
    frame = pd.read_csv(path)
    assert f"{len(frame):,} rows of" in said
    assert frame.notna().all()[["model", "method", "gpu", "num_gpus"]].all()


GOAL = ("--models", "llama-3.2-1b", "--gpus", "t4,rtx-4090,h100", "--num-tokens", "100000000", "--num-gpus", "1,2")


def test_a_search_says_what_to_take_and_why_not_the_rest() -> None:
    found = run(*GOAL, "--cheapest")
    assert found.exit_code == 0
    assert found.stdout.startswith("meta-llama/Llama-3.2-1B, the cheapest plan: ")
    assert "Time against money" in found.stdout and "The best option of every other card" in found.stdout
    faster = run(*GOAL, "--fastest", "--budget-usd", "100")
    assert faster.stdout.startswith("meta-llama/Llama-3.2-1B, the fastest plan within 100 USD: ")


def test_a_search_as_json_and_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "options.csv"
    found = run(*GOAL, "--deadline-hours", "20", "--json", "-o", str(path))
    answer, frame = json.loads(found.stdout), pd.read_csv(path)
    assert found.exit_code == 0 and len(frame) == answer["options"] == sum(answer["outcomes"].values())
    assert answer["cheapest"] in answer["front"] and answer["fastest"] == answer["front"][0]
    assert frame.outcome.value_counts().to_dict() == answer["outcomes"]
    assert {row["gpu"] for row in answer["best_by_card"]} == {"t4", "rtx-4090", "h100-sxm"}


def test_a_goal_that_cannot_be_reached_ends_with_1() -> None:
    found = run(*GOAL, "--cheapest", "--budget-usd", "0.0001")
    assert found.exit_code == 1 and "no option fits within 0.0001 USD" in found.stdout
    assert "over budget: " in found.stdout


def test_a_search_without_tokens_is_refused() -> None:
    found = run("--models", "gpt2", "--cheapest")
    assert found.exit_code == 2 and "a search needs the tokens to train on: --num-tokens" in found.stderr


def test_a_card_that_is_spelled_out_is_one_card(tmp_path: Path) -> None:
    path, own = tmp_path / "table.csv", "own:usable_gib=40,mem_bandwidth_gb_s=900,bf16_dense_tflops=200"
    found = run("--models", "gpt2", "--methods", "lora", "--gpus", f"t4,{own},h100", "-o", str(path))
    assert found.exit_code == 0, found.stderr
    frame = pd.read_csv(path)
    assert list(frame.gpu) == ["t4", own, "h100-sxm"]
    assert frame.usable_gib[1] == 40 and frame.step_seconds[1] > 0 and pd.isna(frame.usd_per_hour[1])
