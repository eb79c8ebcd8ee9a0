"""Bad input: exit code 2, nothing on stdout, one line on stderr that says what was given and the rule."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

Run = Callable[..., Result]

LORA = "plan llama-3.2-1b --method lora"


def assert_refused(result: Result, *fragments: str) -> None:
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    for fragment in fragments:
        assert fragment in result.stderr


@pytest.mark.parametrize(
    ("command", "fragments"),
    [
        ("fit lama-3.3-70b-instruct --gpu 4090", ["lama-3.3", "closest", "meta-llama/Llama-3.3-70B-Instruct"]),
        ("fit llama-3.3-70b --gpu rtx-9090", ["'rtx-9090' is not in the catalogue", "rtx-4090"]),
        ("fit llama-3.3-70b", ["--gpu is missing", "tunebudget gpus"]),
        ("fit", ["MODEL", "fit --help"]),
        ("fit gpt2 --gpu t4 --method magic", ["method", "'full', 'lora', 'qlora'", "magic"]),
        ("plan", ["MODEL is missing"]),
        ("plan gpt2", ["--method is missing", "full, lora or qlora"]),
        (f"{LORA} --batch-size 0", ["per_device_train_batch_size", "greater than or equal to 1", "0"]),
        (f"{LORA} --batch-size many", ["per_device_train_batch_size", "integer", "many"]),
        (f"{LORA} --max-length -5", ["max_length"]),
        (f"{LORA} --lora-r 0", ["lora.r", "greater than or equal to 1"]),
        (f"{LORA} --lora-dropout 1", ["lora.lora_dropout", "less than 1"]),
        (f"{LORA} --target-modules nothing_proj", ["lora.target_modules", "nothing_proj", "q_proj"]),
        (f"{LORA} --optim adam", ["optim", "'adam'", "adamw_torch_fused"]),
        (f"{LORA} --dtype int3", ["dtype", "int3"]),
        (f"{LORA} --bnb-4bit-quant-type nf4", ["quantization", "lora", "qlora"]),
        (f"{LORA} --num-gpus 2", ["num_gpus", "strategy"]),
        ("plan gpt2 --method full --lora-r 8", ["lora", "full"]),
        ("plan gpt2 --method qlora --no-load-in-4bit", ["load_in_4bit"]),
        ("plan gpt2 --method full --max-length 4096", ["max_length", "1024"]),
        ("plan --request nowhere.json", ["--request 'nowhere.json'", "No such file"]),
        ("plan --batch nowhere.jsonl", ["--batch 'nowhere.jsonl'", "No such file"]),
        ("plan --batch . ", ["--batch '.'", "directory"]),
        ("plan gpt2 --batch -", ["--batch goes alone", "model"]),
        ("plan --batch - --request -", ["--batch goes alone", "--request"]),
        ("plan ./nowhere --method full", ["./nowhere", "no such file"]),
        ("compare gpt2 --methods full,none", ["method", "none"]),
        ("compare gpt2 --gpu t4,abacus", ["'abacus'", "known"]),
        ("models zzzzqqq", ["'zzzzqqq'", "neither in the catalogue nor a file"]),
        ("gpus zzzzqqq", ["'zzzzqqq'", "known: "]),
        ("fitt gpt2", ["fitt", "fit"]),
        (f"{LORA} --lora-rank 8", ["--lora-rank", "--help"]),
        ("fit gpt2 --gpu t4 --method lora --provider nobody", ["provider 'nobody' has no prices", "aws", "--import"]),
        ("prices --provider nobody", ["provider 'nobody' has no prices", "aws"]),
        ("app --port 0", ["--port", "65535"]),
    ],
)
def test_flags(run: Run, command: str, fragments: list[str]) -> None:
    assert_refused(run(*command.split()), *fragments)


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        (b"{", ["not valid JSON (line 1, column 2"]),
        (b"[]", ["a request is a JSON object, not an array"]),
        (b"3", ["not a number"]),
        (b"\xff\xfe{\x00}\x00", ["not text in UTF-8"]),
        (b"[" * 100_000, ["nested too deeply"]),
        (b'{"model": "gpt2", "method": "full", "gpus": 2}', ["gpus", "no such field", "tunebudget schema"]),
        (b'{"model": "gpt2", "method": "lora", "lora": {"rank": 2}}', ["lora.rank", "no such field"]),
        (b'{"method": "full"}', ["model", "missing"]),
        (b'{"model": "gpt2"}', ["method", "missing"]),
        (b'{"model": 7, "method": "full"}', ["model"]),
        (b'{"model": {}, "method": "full"}', ["model_type is missing"]),
        (b'{"model": {"model_type": "alien"}, "method": "full"}', ["'alien' is not known", "llama"]),
        (b'{"model": {"model_type": "llama", "hidden_size": -1}, "method": "full"}', ["hidden_size"]),
        (b'{"model": "gpt2", "method": "full", "max_length": 1e400}', ["max_length"]),
        (b'{"model": "\\ud800", "method": "full"}', ["model"]),
    ],
    ids=lambda value: value[:40].decode("latin-1") if isinstance(value, bytes) else None,
)
def test_request_files(run: Run, tmp_path: Path, content: bytes, fragments: list[str]) -> None:
    path = tmp_path / "request.json"
    path.write_bytes(content)
    assert_refused(run("plan", "--request", str(path)), *fragments)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b'{"model_type": ', "not valid JSON"),
        (b"\xff\xfe", "not text in UTF-8"),
        (b'{"hidden_size": 8}', "model_type is missing"),
        (b'{"model_type": "alien"}', "'alien' is not known"),
    ],
)
def test_broken_configs(run: Run, tmp_path: Path, content: bytes, fragment: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    for command in ("plan", "models"):
        args = [command, str(tmp_path)] + (["--method", "full"] if command == "plan" else [])
        assert_refused(run(*args), fragment)


def test_a_long_value_is_not_echoed_whole(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"model": "gpt2", "method": "x" * 100_000}))
    result = run("plan", "--request", str(path))
    assert_refused(result, "method")
    assert len(result.stderr) < 1_000


def test_what_nobody_foresaw_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(request: object) -> None:
        raise KeyError("no\nsuch\nkey")

    monkeypatch.setattr("planner.cli.plan.estimate", broken)
    result = run("plan", "gpt2", "--method", "full")
    assert_refused(result, "unexpected KeyError", "report it", "TUNEBUDGET_DEBUG=1")
    monkeypatch.setenv("TUNEBUDGET_DEBUG", "1")
    result = run("plan", "gpt2", "--method", "full")
    assert result.exit_code == 2
    assert "Traceback" in result.stderr


def test_an_interrupt_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(request: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("planner.cli.plan.estimate", interrupted)
    result = run("plan", "gpt2", "--method", "full")
    assert (result.exit_code, result.stdout, result.stderr.strip()) == (130, "", "stopped")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "planner", "gpus"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: the answer cannot be written: No space left on device: make room, or send it elsewhere\n"
    )


def test_a_missing_package_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def needs_numpy(request: object) -> None:
        raise ModuleNotFoundError("No module named 'numpy'", name="numpy")

    monkeypatch.setattr("planner.cli.plan.estimate", needs_numpy)
    assert_refused(run("plan", "gpt2", "--method", "full"), "the package numpy is not installed", "pip install")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_are_no_fault(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m planner gpus t4 {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
