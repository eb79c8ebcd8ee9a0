"""Start a run and see it through: whatever happens to the child becomes a record, and the record is kept."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from planner.answer import Plan
from planner.child import ChildError, Progress, run_child
from planner.errors import RequestError
from planner.estimate import estimate
from planner.runs.guard import Start, may_start
from planner.runs.here import Device, choose_device, host, notes_here, request_here
from planner.runs.machine import Watch, available_bytes
from planner.runs.record import Record, new_record
from planner.schema import PlanRequest

DEVICES_SECONDS = 120.0
TIME_LIMIT_SECONDS = 600.0
NO_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is made, besides its request."""

    steps: int = 3
    warmup: int = 1
    seed: int = 0
    num_layers: int | None = None
    memory_limit_bytes: int | None = None
    time_limit_seconds: float = TIME_LIMIT_SECONDS
    force: bool = False
    checks: bool = True


@dataclass(slots=True)
class Listener:
    """Who follows a run: told of progress, asked whether to stop."""

    on_progress: Callable[[Progress], None] | None = None
    should_stop: Callable[[], bool] = lambda: False


def find_device(request: PlanRequest) -> Device:
    """The device of a run; a child with torch looks, unless the CPU is asked for.

    Raises RequestError where there is none of the kind asked for, ChildError where the child fails.
    """
    if request.device == "cpu":
        return host()
    answer = run_child({"level": "devices"}, time_limit_seconds=DEVICES_SECONDS)
    return choose_device(request, answer["devices"])


def profile_here(
    request: PlanRequest, options: Options, listener: Listener, device: Device | None = None, ask_plan: bool = True
) -> Record:
    """Measure a request on this machine; the record says how it ended.

    ask_plan: refuse what the plan says will not fit; without it the run starts whole, watched all the same.
    Raises PlannerError where the request is refused: before the child starts, or by the child.
    """
    _check_one_process(request)
    device = device or find_device(request)
    name, runnable = request_here(request, device, options.num_layers)
    start = may_start(runnable, device, options.memory_limit_bytes, options.force or not ask_plan)
    record = new_record(name, runnable, start.plan, device)
    record |= _outcome(profile_task(name, runnable, options, start, device), start, options, listener, device)
    record["notes"] = [*notes_here(request, device, options.num_layers), *record.get("notes", [])]
    return record


def _check_one_process(request: PlanRequest) -> None:
    if request.num_gpus * request.num_nodes > 1:
        raise RequestError(f"num_gpus {request.num_gpus}: this run is one process: leave num_gpus out", "num_gpus")


def profile_task(name: str, request: PlanRequest, options: Options, start: Start, device: Device) -> dict[str, Any]:
    """What the child is asked: the request with its config put in, and how to measure it."""
    settings = {
        "steps": options.steps,
        "warmup": options.warmup,
        "seed": options.seed,
        "device": device["device"],
        "slices": start.slices,
        "checks": options.checks,
        "memory_limit_bytes": None if device["device"] == "cpu" else options.memory_limit_bytes,
    }
    data = request.model_dump(mode="json", exclude_unset=True)
    return {"level": "profile", "name": name, "request": data, "settings": settings}


def _outcome(
    task: dict[str, Any], start: Start, options: Options, listener: Listener, device: Device
) -> dict[str, Any]:
    """The child's figures, or how it ended without."""
    watch = Watch(_host_limit(start, options, device))
    reached: list[Progress] = []

    def hear(progress: Progress) -> None:
        reached[:] = [progress]
        if listener.on_progress is not None:
            listener.on_progress(progress)

    try:
        answer = run_child(task, hear, options.time_limit_seconds, listener.should_stop, watch)
    except ChildError as error:
        return {
            "status": error.kind,
            "error": error.message,
            "reached": asdict(reached[0]) if reached else None,
            "highest_rss_bytes": watch.highest_bytes,
            "memory_limit_bytes": start.limit_bytes,
        }
    seen = {"highest_rss_bytes": watch.highest_bytes, "memory_limit_bytes": start.limit_bytes}
    return answer | seen | {"status": "done"}


def _host_limit(start: Start, options: Options, device: Device) -> int:
    """Process memory that ends the run: on a CPU what it may take, beside an accelerator what the host has free."""
    if options.force:
        return NO_LIMIT
    return start.limit_bytes if device["device"] == "cpu" else available_bytes()


def plan_of(record: Record) -> Plan:
    """The plan of a record's request, as the planner is today.

    Raises PlannerError where it no longer plans it.
    """
    from planner.schema import parse_request

    return estimate(parse_request(record["request"]))


def trace_here(record: Record, listener: Listener | None = None) -> dict[str, Any]:
    """The trace of a record's request, in a child.

    Raises PlannerError where it cannot be traced.
    """
    task = {"level": "trace", "name": record["model"], "request": record["request"], "full": False}
    follow = listener or Listener()
    return run_child(task, follow.on_progress, should_stop=follow.should_stop)
