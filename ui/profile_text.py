"""The Profile page's sentences."""

from collections.abc import Mapping
from typing import Any

from planner.child import Progress
from planner.units import format_gib
from ui.text import as_sentence

#: Why a run that ended without an answer is no fault of the page, and what to do next.
NEXT_STEPS: dict[str, str] = {
    "out of memory": "Measure fewer layers, a smaller batch or a shorter length.",
    "memory limit": "Measure fewer layers, a smaller batch or a shorter length.",
    "killed": "Measure fewer layers, a smaller batch or a shorter length.",
    "time limit": "Measure fewer layers or steps, or allow more time.",
    "disk full": "Free some space and start again.",
    "library": "tunebudget doctor shows what is installed.",
}


def progress_line(progress: Progress | None, elapsed_seconds: float) -> tuple[float, str]:
    """How far a run is, from 0 to 1, and in words."""
    elapsed = f"{int(elapsed_seconds) // 60}:{int(elapsed_seconds) % 60:02} elapsed"
    if progress is None:
        return 0.0, f"starting the child process; {elapsed}"
    peak = "" if progress.peak_bytes is None else f"; peak so far {format_gib(progress.peak_bytes, 3)} of tensors"
    return min(progress.done / max(progress.of, 1), 1.0), f"{progress.what}{peak}; {elapsed}"


def ending(record: Mapping[str, Any]) -> str:
    """How a run without an answer ended, and what to do."""
    next_step = NEXT_STEPS.get(record["status"], "")
    said = str(record["error"]).rstrip(".")
    return f"{said[:1].upper()}{said[1:]}. {next_step}".strip()


def times(record: Mapping[str, Any]) -> str:
    """Where and how it was measured."""
    versions = ", ".join(f"{library} {number}" for library, number in record["versions"].items())
    speed = f", {record['flops_per_second'] / 1e9:,.3g} GFLOP/s" if record["flops_per_second"] else ""
    return (
        f"Measured on {record['hardware']['name']}: {record['steps']} timed steps with a spread of "
        f"{record['step_seconds_spread']:.0%}{speed}; {versions}; seed "
        f"{record['settings']['seed']}."
    )


def refusal(reason: str) -> str:
    """Why a run was not started or gave nothing, with the page's inputs in the place of the command line's flags."""
    return as_sentence(reason.replace("--num-layers N, or --force to start it all the same", "or fewer layers above"))
