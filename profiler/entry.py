"""The developer's entry of profiler.measure and profiler.trace: requests in, JSON lines out.

A line of the input is a request, or {"request", "measured"} as in shared/truth; the differences to "measured" are
then printed too.
"""

import json
import time
from argparse import ArgumentParser, Namespace
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from planner.schema import PlanRequest, parse_request
from profiler.measured import Measured
from profiler.places import phases_of
from profiler.storages import Birth, Record


def run_entry(prog: str, description: str, run: Callable[..., Measured], layers: bool = False) -> None:
    """Read the options, run every request, print."""
    parser = ArgumentParser(prog=f"python -m {prog}", description=description)
    parser.add_argument("requests")
    parser.add_argument("--id", help="only this request; an error then shows its traceback")
    parser.add_argument("--live", action="store_true", help="list what is live at the peak")
    parser.add_argument("--events", action="store_true", help="print the last step's events of one layer and the head")
    if layers:
        parser.add_argument("--num-layers", type=int, help="trace only the first layers")
        parser.add_argument("--whole", action="store_true", help="trace all layers instead of extrapolating")
    options = parser.parse_args()
    for data in read_lines(options.requests):
        if options.id in (None, data.get("request", data).get("id")):
            _run_one(data, run, options)


def read_lines(path: str) -> Iterator[dict[str, Any]]:
    """The objects of a JSON lines file."""
    with open(path) as lines:
        yield from (json.loads(line) for line in lines if line.strip())


def _run_one(data: dict[str, Any], run: Callable[..., Measured], options: Namespace) -> None:
    name, truth = data.get("request", data).get("id"), data.get("measured", {})
    try:
        line, record = _answer(parse_request(data.get("request", data)), truth, run, options)
    except Exception as error:  # one bad line must not end the file
        if options.id:
            raise
        print(json.dumps({"id": name, "error": f"{type(error).__name__}: {error}"[:300]}), flush=True)
        return
    print(json.dumps(line), flush=True)
    if record is not None and options.live:
        print_live(record)
    if record is not None and options.events:
        print_events(record)


def _answer(
    request: PlanRequest, truth: dict[str, int], run: Callable[..., Measured], options: Namespace
) -> tuple[dict[str, Any], Record | None]:
    """The line to print, and the account behind it where there is one."""
    chosen = {key: value for key, value in vars(options).items() if key in ("num_layers", "whole") and value}
    if "whole" in vars(options) and (options.live or options.events):
        chosen["whole"] = True
    started = time.perf_counter()
    measured = run(request, **chosen)
    line = {"id": request.id, "measured": measured.as_dict(), "seconds": round(time.perf_counter() - started, 1)}
    if truth:
        line["minus_truth"] = {key: getattr(measured, key) - value for key, value in truth.items()}
        line["peak_ratio"] = round(measured.peak_bytes / truth["peak_bytes"], 5)
    return line, measured.record


def print_live(record: Record) -> None:
    """The storages live at the peak, alike ones together, the largest first."""
    peak = record.events[record.peak_event]
    phase = list(phases_of(record))[record.peak_event]
    print(f"peak {record.peak:,} in {phase} at {peak.module or '-'} by {peak.birth.op}")
    groups: dict[tuple[str, ...], list[Birth]] = defaultdict(list)
    for birth in record.live_at_peak():
        phase = "recompute" if birth.recomputed else birth.phase
        groups[birth.op, phase, str(birth.shape), birth.dtype, _pattern(birth.module)].append(birth)
    for (op, phase, shape, dtype, module), births in sorted(groups.items(), key=lambda item: -_size(item[1])):
        print(f"{_size(births):>14,} {len(births):>4} x {op:<44} {phase:<9} {shape:<22} {dtype:<9} {module}")


def print_events(record: Record, layer: int = 1) -> None:
    """Births and ends of the last step in one layer or outside the layers."""
    for index, (event, phase) in enumerate(zip(record.events, phases_of(record), strict=True)):
        numbers = [part for part in event.module.split(".") if part.isdigit()]
        if event.step == record.events[-1].step and (not numbers or numbers[0] == str(layer)):
            print(
                f"{index:>6} {event.delta:>+14,} {event.live:>14,} {phase:<15} {event.birth.op:<40} "
                f"{event.birth.shape!s:<22} {event.birth.dtype:<9} @{event.module}"
            )


def _size(births: list[Birth]) -> int:
    return sum(birth.num_bytes for birth in births)


def _pattern(module: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in module.split("."))
