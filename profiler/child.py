"""The child process of `tunebudget trace` and `profile`: one task in on standard input, JSON lines out.

The other side is planner/child.py.  A task names its level; an error says its kind, so that it can become a record.
"""

import errno
import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from threading import Thread
from typing import Any, Literal, TextIO

from planner.errors import PlannerError
from planner.schema import PlanRequest, parse_request

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")
PARENT_POLL_SECONDS = 1.0
Kind = Literal["refused", "out of memory", "disk full", "library"]
Task = dict[str, Any]
Answer = dict[str, Any]

#: Told how far a task is: parts done, parts in all, what comes now, the peak of bytes so far.
Say = Callable[[int, int, str, int | None], None]


def main() -> int:
    """Read the task, run it, write the answer; libraries that print do so on standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    task = json.load(sys.stdin)

    def say(done: int, of: int, what: str, peak_bytes: int | None = None) -> None:
        _write(out, {"progress": {"done": done, "of": of, "what": what, "peak_bytes": peak_bytes}})

    try:
        answer = LEVELS[task["level"]](task, say)
    except Exception as error:  # the libraries' refusals are many; each becomes one line
        _write(out, {"error": _error(error)})
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


def _error(error: Exception) -> dict[str, Any]:
    """What ended the task: its kind, one line, and the field it is about."""
    if isinstance(error, PlannerError):
        return {"kind": "refused", "message": error.message, "field": error.field}
    kind = kind_of(error)
    said = " ".join(str(error).split())[:300] or "no message"
    lead = {"library": "the libraries refuse", "disk full": "the disk is full"}.get(kind, kind)
    return {"kind": kind, "message": f"{lead}: {type(error).__name__}: {said}", "field": None}


def kind_of(error: Exception) -> Kind:
    """Whether an error is about memory, the disk, or the libraries.

    torch says it in words where the CPU's allocator fails (c10/core/impl/alloc_cpu.cpp), and with a class of its own
    on accelerators.
    """
    text = str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory"
    if isinstance(error, RuntimeError) and ("can't allocate memory" in text or "not enough memory" in text):
        return "out of memory"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "disk full"
    return "library"


def run_devices(task: Task, say: Say) -> Answer:
    """The devices of this machine, for `doctor`."""
    from profiler.devices.find import find_devices

    return {"devices": [device.as_dict() for device in find_devices()]}


def run_trace(task: Task, say: Say) -> Answer:
    """The answer of `trace --json`: the plan's names where both measure the same thing."""
    say(0, 3, "importing torch, transformers, peft and bitsandbytes", None)
    from profiler.trace import trace

    request = parse_request(task["request"])
    traced = trace(request, whole=bool(task.get("full")), say=lambda *part: say(*part, None))
    hardware = "fake tensors on the CPU: no weights, no GPU"
    return _answer(task, request, traced.as_dict()) | {"hardware": hardware, "steps": 2}


def run_fit(task: Task, say: Say) -> Answer:
    """What `plan --trace` is made of: traces at the sizes of the task, fitted."""
    say(0, len(task["sizes"]["batches"]) * 3 + 1, "importing torch, transformers, peft and bitsandbytes", None)
    from profiler.fit import Sizes, fit

    sizes = Sizes(**{name: tuple(numbers) for name, numbers in task["sizes"].items()})
    fitted = fit(parse_request(task["request"]), sizes, lambda *part: say(*part, None))
    return fitted | {"versions": versions()}


def run_profile(task: Task, say: Say) -> Answer:
    """The figures of `profile --json`: those of a trace, and what only a real machine tells."""
    say(0, 1, "importing torch, transformers, peft and bitsandbytes", None)
    from profiler.profile import profile
    from profiler.settings import read_settings

    request = parse_request(task["request"])
    return _answer(task, request, profile(request, read_settings(task.get("settings", {})), say))


def run_low_rank(task: Task, say: Say) -> Answer:
    """The laboratory of low rank: a small model trained in three ways on the task's texts."""
    say(0, 1, "importing torch, transformers, peft and bitsandbytes", None)
    import torch

    from profiler.labs.low_rank import low_rank

    torch.set_num_threads(1)  # so small a model waits for its threads more than it gains from them
    return low_rank(task, say) | {"versions": versions()}


def _answer(task: Task, request: PlanRequest, figures: Answer) -> Answer:
    """Figures under the contract's names, with the level and the versions of the code that was run."""
    live = {f"{category}_bytes": size for category, size in figures["live_bytes"].items() if category != "weights"}
    head = {"id": request.id, "model": str(task["name"]), "level": task["level"], "method": request.method}
    return {**head, "versions": versions(), **live, **figures}


def versions() -> dict[str, str]:
    """Versions of the libraries whose code was run."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


#: What a task can ask for.
LEVELS: dict[str, Callable[[Task, Say], Answer]] = {
    "trace": run_trace,
    "fit": run_fit,
    "profile": run_profile,
    "devices": run_devices,
    "low rank": run_low_rank,
}


if __name__ == "__main__":
    sys.exit(main())
