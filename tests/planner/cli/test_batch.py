"""plan --batch: one answer a line, in order, as requests arrive; a bad line is answered and the rest goes on."""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from click.testing import Result

from planner.cli.workers import _kind, _Shares
from planner.estimate import estimate
from planner.schema import parse_request

Run = Callable[..., Result]

ROOT = Path(__file__).parents[3]
BATCH = [sys.executable, "-m", "planner", "plan", "--batch", "-"]


def requests(count: int) -> list[dict[str, object]]:
    """Different requests: sizes and settings in turn."""
    kinds = product(("full", "lora", "qlora"), (False, True), (128, 1000, 4096), range(1, count))
    return [
        {
            "id": f"r{number}",
            "model": "llama-3.1-8b",
            "method": method,
            "gradient_checkpointing": checkpointing,
            "max_length": length,
            "per_device_train_batch_size": batch,
            "gpu": "a100",
        }
        for number, (method, checkpointing, length, batch) in zip(range(count), kinds, strict=False)
    ]


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_answers_come_in_order_and_are_the_plans(run: Run, tmp_path: Path) -> None:
    asked = requests(40)
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, asked)))
    result = run("plan", "--batch", str(path))
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines(result) == [estimate(parse_request(request)).model_dump(mode="json") for request in asked]


@pytest.mark.parametrize(
    ("line", "request_id", "field", "fragment"),
    [
        (b"{", None, None, "not valid JSON"),
        (b"[1]", None, None, "JSON object"),
        (b"\xff\xff", None, None, "UTF-8"),
        (b"[" * 50_000, None, None, "nested too deeply"),
        (b'{"id": "a", "method": "full"}', "a", "model", "missing"),
        (b'{"id": "a", "model": "nothing-9b", "method": "full"}', "a", "model", "catalogue"),
        (b'{"id": "a", "model": "gpt2", "method": "full", "gpu": "abacus"}', "a", "gpu", "abacus"),
        (b'{"id": "a", "model": "gpt2", "method": "lora", "lora": {"r": 0}}', "a", "lora.r", "greater than"),
        (b'{"id": "a", "model": "gpt2", "method": "full", "colour": 1}', "a", "colour", "no such field"),
        (b'{"id": "a", "model": {"model_type": "alien"}, "method": "full"}', "a", "model", "alien"),
        (b'{"id": 7, "model": "gpt2", "method": "full"}', 7, "id", "string"),
        (b'{"id": {"x": 1}, "model": "gpt2", "method": "full"}', None, "id", "string"),
    ],
)
def test_a_bad_line_gives_an_error_line(
    run: Run, line: bytes, request_id: object, field: str | None, fragment: str
) -> None:
    good = b'{"id": "good", "model": "gpt2", "method": "full"}'
    result = run("plan", "--batch", "-", stdin=b"\n".join((good, line, good)))
    before, error, after = lines(result)
    assert result.exit_code == 0
    assert before == after
    assert before["id"] == "good"
    assert set(error) == {"id", "error"}
    assert error["id"] == request_id
    assert isinstance(error["error"], dict)
    assert set(error["error"]) == {"message", "field"}
    assert error["error"]["field"] == field
    assert fragment in error["error"]["message"]
    assert result.stderr == "note: 1 of 3 requests were refused: their lines have `error`\n"


@pytest.mark.parametrize("stdin", ["", "\n\n", " \r\n"])
def test_nothing_asked_nothing_answered(run: Run, stdin: str) -> None:
    result = run("plan", "--batch", "-", stdin=stdin)
    assert (result.exit_code, result.stdout) == (0, "")


def test_windows_line_ends_and_a_missing_last_one(run: Run) -> None:
    line = '{"model": "gpt2", "method": "full"}'
    assert len(lines(run("plan", "--batch", "-", stdin=f"{line}\r\n{line}"))) == 2


def test_a_program_can_ask_and_wait_line_by_line() -> None:
    with subprocess.Popen(BATCH, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for request in requests(3):
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == request["id"]
        process.stdin.close()
        assert process.wait(30) == 0


def test_a_reader_that_leaves_is_met_with_silence(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_text("\n".join(map(json.dumps, requests(500))))
    command = [*BATCH[:-1], str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


def test_many_lines_are_answered_by_several_processes_in_order() -> None:
    """More lines than one process is left alone with; a fresh interpreter, as forking is not for a test's threads."""
    asked = [request | {"model": model} for request in requests(70) for model in ("gpt2", "llama-3.1-8b")]
    asked[5] = {"id": "bad", "model": "nothing-9b", "method": "full"}
    stdin = "\n".join(map(json.dumps, asked)).encode()
    done = subprocess.run(BATCH, input=stdin, capture_output=True, cwd=ROOT, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [request["id"] for request in asked]
    assert "catalogue" in answers[5]["error"]["message"]
    assert answers[7] == estimate(parse_request(asked[7])).model_dump(mode="json")


def test_a_worker_that_is_killed_costs_no_answer() -> None:
    """Its lines are answered by the process that asked."""
    script = (
        "import os, sys; from planner.cli import workers\n"
        "parent = os.getpid(); first = workers.answer_lines\n"
        "def dies(lines):\n"
        "    if os.getpid() != parent: os.kill(os.getpid(), 9)\n"
        "    return first(lines)\n"
        "workers.answer_lines = dies; pool = workers.Workers()\n"
        'line = b\'{"model": "gpt2", "method": "full"}\'\n'
        "print(sum(is_plan for _, is_plan in pool.answer([line] * 60)))\n"
        "pool.close()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, cwd=ROOT, text=True, timeout=60)
    assert (done.stdout, done.returncode) == ("60\n", 0), done.stderr


def test_workers_keep_to_their_share_and_then_help_the_others() -> None:
    shares = _Shares([[n] for n in range(5)], 2)
    assert [shares.next(0), shares.next(0), shares.next(1)] == [[0], [1], [3]]
    assert [shares.next(0), shares.next(0), shares.next(0), shares.next(1)] == [[2], [4], None, None]


def test_lines_of_one_layer_code_lie_together() -> None:
    """However the model is named; a line that names none is no error here."""
    named = [b'{"model": "llama-3.1-8b"}', b'{"model": {"model_type": "mistral"}}', b'{"model": "gpt2"}']
    kinds = [_kind(line)[0] for line in (*named, b'{"model": "nothing-9b"}', b'{"model": "\\xff"}', b"{")]
    assert kinds == ["llama", "llama", "gpt2", "", "", ""]
