"""The profiler as a child process: start it, follow its progress, stop it; it may die, the parent does not.

The child is ``python -m profiler.child`` and speaks JSON lines: a task on its standard input; on its standard output
any number of {"progress": {"done", "of", "what"}} and then one {"answer": {...}} or {"error": {"message", "field"}}.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from tempfile import TemporaryFile
from threading import Thread
from typing import Any, Literal

from planner.errors import PlannerError
from planner.installed import is_installed

#: What the profiler needs besides the planner, as pip names them.
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "psutil")
ROOT = Path(__file__).resolve().parents[1]
POLL_SECONDS = 0.1
GRACE_SECONDS = 3.0


#: How a run can end without an answer: "refused" is the request's fault, the rest the machine's or the libraries'.
Kind = Literal[
    "refused", "stopped", "time limit", "memory limit", "out of memory", "killed", "disk full", "library", "died"
]


class ChildError(PlannerError):
    """The child did not answer: it was stopped, ran out of time or memory, or died; `kind` says which."""

    def __init__(self, message: str, kind: Kind = "died"):
        super().__init__(message)
        self.kind: Kind = kind


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a child is: step `done` of `of`, what it does, and the peak of tensor bytes so far."""

    done: int
    of: int
    what: str
    peak_bytes: int | None = None


def missing_packages() -> list[str]:
    """Packages of the profiler that are not installed; nothing is imported."""
    return [name for name in PACKAGES if not is_installed(name)]


def check_packages(level: str) -> None:
    """Raise ChildError with what to install where a package of the profiler is missing."""
    missing = missing_packages()
    if missing:
        raise ChildError(
            f"{level} needs {', '.join(PACKAGES)}; not installed: {', '.join(missing)}. "
            "Install torch==2.13.0 first, then: pip install 'tunebudget[profiler]'"
        )


def run_child(
    task: Mapping[str, Any],
    on_progress: Callable[[Progress], None] | None = None,
    time_limit_seconds: float = 600.0,
    should_stop: Callable[[], bool] = lambda: False,
    watch: Callable[[int], str | None] = lambda _: None,
    command: Sequence[str] = ("-m", "profiler.child"),
) -> dict[str, Any]:
    """Run one task in a child process and return its answer.

    command: what Python runs instead of the child that reads its task from its input.
    watch: asked with the child's process id several times a second; what it says ends the child.
    Raises ChildError where the child is stopped, exceeds the time limit or dies, and PlannerError with the child's
    own line where it refuses the task. A KeyboardInterrupt stops the child first.
    """
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
        child = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
        try:
            _send(child, task)
            deadline = time.monotonic() + time_limit_seconds
            return _follow(child, on_progress, lambda: _end(child, deadline, time_limit_seconds, should_stop, watch))
        except _Died as death:
            stderr.seek(0)
            raise _death(death.returncode, stderr.read()) from None
        finally:
            stop(child)


class _Died(Exception):
    def __init__(self, returncode: int):
        self.returncode = returncode


def _send(child: "subprocess.Popen[str]", task: Mapping[str, Any]) -> None:
    assert child.stdin is not None
    try:
        with child.stdin as pipe:
            json.dump(task, pipe)
    except BrokenPipeError:
        raise _Died(child.wait()) from None


def _follow(
    child: "subprocess.Popen[str]",
    on_progress: Callable[[Progress], None] | None,
    end_if_asked: Callable[[], None],
) -> dict[str, Any]:
    lines = _lines(child)
    while True:
        end_if_asked()
        try:
            line = lines.get(timeout=POLL_SECONDS)
        except Empty:
            continue
        if line is None:
            raise _Died(child.wait())
        answer = _message(line, on_progress)
        if answer is not None:
            return answer


def _end(
    child: "subprocess.Popen[str]",
    deadline: float,
    limit: float,
    should_stop: Callable[[], bool],
    watch: Callable[[int], str | None],
) -> None:
    """Raise where the run must end."""
    if should_stop():
        raise ChildError("stopped on request, before it was done", "stopped")
    if time.monotonic() > deadline:
        raise ChildError(
            f"stopped after the time limit of {limit:g} seconds: allow more time, or measure less", "time limit"
        )
    reason = watch(child.pid)
    if reason is not None:
        raise ChildError(reason, "memory limit")


def _lines(child: "subprocess.Popen[str]") -> "Queue[str | None]":
    """The child's output, line by line, read by a thread; None at its end."""
    queue: Queue[str | None] = Queue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            queue.put(line)
        queue.put(None)

    Thread(target=read, daemon=True).start()
    return queue


def _message(line: str, on_progress: Callable[[Progress], None] | None) -> dict[str, Any] | None:
    """The answer in a line, or None for progress and for what a library prints."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if not isinstance(message, dict):
        return None
    if "error" in message:
        raise _refusal(message["error"])
    if "progress" in message and on_progress is not None:
        on_progress(Progress(**message["progress"]))
    answer: dict[str, Any] | None = message.get("answer")
    return answer


def _refusal(error: Mapping[str, Any]) -> PlannerError:
    """A refused request is the person's to change; everything else is a run that ended badly."""
    text, kind = str(error.get("message")), error.get("kind", "refused")
    return PlannerError(text, error.get("field")) if kind == "refused" else ChildError(text, kind)


def _death(returncode: int, stderr: str) -> ChildError:
    """How a child ended, in one line."""
    last = next((line.strip() for line in reversed(stderr.splitlines()) if line.strip()), "it printed nothing")
    if returncode == -signal.SIGKILL:
        text = "the child process was killed (signal 9), most likely for memory: try a smaller model or slices"
        return ChildError(text, "killed")
    if returncode < 0:
        return ChildError(f"the child process ended by signal {-returncode}: {last[:300]}")
    return ChildError(f"the child process ended with code {returncode}: {last[:300]}")


def stop(child: "subprocess.Popen[str]") -> None:
    """End a child: politely, then for good."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdout is not None:
        child.stdout.close()
