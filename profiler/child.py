"""The child process of `tunebudget trace`: one task in on standard input, JSON lines out (planner/child.py)."""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from threading import Thread
from typing import Any, TextIO

from planner.errors import PlannerError
from planner.schema import PlanRequest, parse_request

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")
PARENT_POLL_SECONDS = 1.0
Say = Callable[[int, int, str], None]


def main() -> int:
    """Read the task, run it, write the answer; libraries that print do so on standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    task = json.load(sys.stdin)

    def say(done: int, of: int, what: str) -> None:
        _write(out, {"progress": {"done": done, "of": of, "what": what}})

    try:
        answer = run_trace(parse_request(task["request"]), str(task["name"]), bool(task.get("full")), say)
    except PlannerError as error:
        _write(out, {"error": {"message": error.message, "field": error.field}})
    except MemoryError:
        _write(out, {"error": {"message": "out of memory while tracing: trace slices, not --full", "field": None}})
    except Exception as error:  # the libraries' refusals of a config are many; each becomes its last line
        message = " ".join(str(error).split())[:300] or "no message"
        _write(out, {"error": {"message": f"the libraries refuse: {type(error).__name__}: {message}", "field": None}})
    else:
        _write(out, {"answer": answer})
    return 0


def _end_with_parent(parent: int) -> None:
    """End this process once its parent is gone: who was to read the answer cannot stop it any more."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_SECONDS)
    os._exit(1)


def _write(out: TextIO, message: dict[str, Any]) -> None:
    out.write(json.dumps(message) + "\n")
    out.flush()


def run_trace(request: PlanRequest, name: str, full: bool, say: Say) -> dict[str, Any]:
    """The answer of `trace --json`: the plan's names where both measure the same thing."""
    say(0, 3, "importing torch, transformers, peft and bitsandbytes")
    from profiler.trace import trace

    traced = trace(request, whole=full, say=say).as_dict()
    live = {f"{category}_bytes": size for category, size in traced["live_bytes"].items() if category != "weights"}
    return {
        "id": request.id,
        "model": name,
        "level": "trace",
        "method": request.method,
        "hardware": "fake tensors on the CPU: no weights, no GPU",
        "versions": versions(),
        "steps": 2,
        **live,
        **traced,
    }


def versions() -> dict[str, str]:
    """Versions of the libraries whose code was run."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
