"""A run over several processes of this machine: started through torchrun, every rank's bytes in one record."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from planner.child import ChildError, run_child
from planner.errors import RequestError
from planner.estimate import estimate
from planner.runs.guard import limit_bytes, needed_bytes
from planner.runs.here import Device, notes_here, request_here
from planner.runs.machine import Watch
from planner.runs.record import Record, new_record
from planner.runs.start import Listener, Options, find_device
from planner.schema import PlanRequest
from planner.units import format_gib

#: Strategies that profiler/wrap.py runs.
STRATEGIES = ("ddp", "fsdp")


def profile_spread(request: PlanRequest, options: Options, listener: Listener) -> Record:
    """Measure a request on num_gpus processes of this machine; the record says how it ended.

    Raises PlannerError where the request is refused: before the processes start, or by them.
    """
    if request.parallelism.strategy not in STRATEGIES:
        raise RequestError(
            f"parallelism.strategy: {request.parallelism.strategy!r} is not run by the profiler: it runs "
            "--strategy ddp and --strategy fsdp",
            "parallelism.strategy",
        )
    device = find_device(request)
    name, runnable = request_here(request, device, options.num_layers)
    plan, limit = estimate(runnable), limit_bytes(device, options.memory_limit_bytes)
    processes = request.num_gpus if device["device"] == "cpu" else 1  # GPUs: a card for each process
    if not options.force and processes * needed_bytes(plan) > limit:
        raise RequestError(
            f"num_processes: {request.num_gpus} need about {format_gib(processes * needed_bytes(plan))} (estimated) "
            f"and {device['name']} has {format_gib(limit)} to give: use fewer, a smaller request, or --force",
            "num_processes",
        )
    record = new_record(name, runnable, plan, device)
    record |= _outcome(runnable, options, listener, Watch(2**63 if options.force else limit), device)
    record["notes"] = [*notes_here(request, device, options.num_layers), *record.get("notes", [])]
    return record


def _outcome(
    request: PlanRequest, options: Options, listener: Listener, watch: Watch, device: Device
) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "request.json"
        path.write_text(json.dumps(request.model_dump(mode="json", exclude_unset=True)) + "\n")
        command = launcher(request.num_gpus, path)
        on_cpu = device["device"] == "cpu"
        try:
            answer = run_child(
                {},
                listener.on_progress,
                options.time_limit_seconds,
                listener.should_stop,
                watch if on_cpu else lambda _: None,
                command,
            )
        except ChildError as error:
            return {"status": error.kind, "error": error.message, "highest_rss_bytes": watch.highest_bytes}
    return answer | {"status": "done", "highest_rss_bytes": watch.highest_bytes}


def launcher(num_processes: int, path: Path) -> tuple[str, ...]:
    """torchrun on this machine, as a module of the same Python."""
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes))
    return (*torchrun, "-m", "profiler.distributed", str(path))
