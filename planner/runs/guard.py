"""Whether a run may start: the plan is asked first, and what would exhaust the machine is refused."""

from dataclasses import dataclass

from planner.answer import Plan
from planner.errors import RequestError
from planner.estimate import estimate
from planner.runs.here import Device
from planner.runs.machine import RESERVE_BYTES
from planner.runs.shallow import cut_layers, depth_of
from planner.schema import PlanRequest
from planner.units import MIB, format_gib

#: A process that has imported torch, transformers, PEFT and bitsandbytes, and what it holds besides tensors once steps
#: run: 0.43 GiB over the 24 runs of the suite on Linux with torch 2.13+cpu (`calibrate`).
PROCESS_BYTES = 440 * MIB

#: Layers that stand for a deep model in slices: three periods and four (profiler/slices.py).
SLICE_LAYERS = 4
_SMALLEST_SLICED = 8


@dataclass(frozen=True, slots=True)
class Start:
    """How a run starts: the whole model or slices of it, within how much memory; and the plan of the whole."""

    plan: Plan
    slices: bool
    limit_bytes: int


def may_start(request: PlanRequest, device: Device, memory_limit_bytes: int | None, force: bool) -> Start:
    """Decide how the run starts.

    Raises RequestError where neither the whole nor slices fit; `force` starts the whole all the same.
    """
    plan, limit = estimate(request), limit_bytes(device, memory_limit_bytes)
    if force or needed_bytes(plan) <= limit:
        return Start(plan, False, limit)
    if needed_bytes(_sliced(request, plan)) <= limit:
        return Start(plan, True, limit)
    raise RequestError(
        f"this run needs about {format_gib(needed_bytes(plan))} (estimated) and {device['name']} has "
        f"{format_gib(limit)} to give, too little for slices of it as well: use a smaller batch or length, "
        "--num-layers N, or --force to start it all the same"
    )


def limit_bytes(device: Device, memory_limit_bytes: int | None) -> int:
    """What a run may take: all that is free but a reserve, or the limit that was set."""
    free = int(device["free_bytes"] or 0)
    if device["device"] == "cpu":
        free = max(free - RESERVE_BYTES, 0)
    return free if memory_limit_bytes is None else min(free, memory_limit_bytes)


def needed_bytes(plan: Plan) -> int:
    """What the plan says of the device; on a CPU the process itself comes on top."""
    return plan.needed_bytes + (PROCESS_BYTES if plan.runtime_bytes == 0 else 0)


def _sliced(request: PlanRequest, plan: Plan) -> Plan:
    """The plan of the larger slice; of the whole where it is too shallow for slices."""
    assert isinstance(request.model, dict)
    if depth_of(request.model) < _SMALLEST_SLICED:
        return plan
    return estimate(request.model_copy(update={"model": cut_layers(request.model, SLICE_LAYERS)}))
