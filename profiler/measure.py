"""Real training steps on this machine's CPU, every storage followed.

    python -m profiler.measure REQUESTS.jsonl [--id ID] [--live]

Prints one JSON line {"id", "measured", "truth" when the line has one} a request.
"""

import gc
import json
import sys
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from planner.schema import PlanRequest, parse_request
from profiler.build import build_batch, build_config, build_model, build_optimizer, count_parameters, loaded_tensors, trainable_parameters
from profiler.step import run_step
from profiler.storages import Birth, Record, StorageTracker

NUM_STEPS = 2


@dataclass(frozen=True, slots=True)
class Measured:
    """What the steps used, in bytes and counts, and the record it was read from."""

    weights_bytes: int
    peak_bytes: int
    steady_bytes: int
    trainable_params: int
    total_params: int
    record: Record

    def as_dict(self) -> dict[str, int]:
        """The figures, without the record."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "record"}


def measure(request: PlanRequest) -> Measured:
    """Build the request's model on the CPU and run real steps."""
    torch.manual_seed(0)
    config = build_config(request)
    model = build_model(request, config)
    optimizer = build_optimizer(request.optim, trainable_parameters(model))
    return follow_steps(request, model, optimizer, config.get_text_config().vocab_size)


def follow_steps(
    request: PlanRequest, model: nn.Module, optimizer: torch.optim.Optimizer, vocab_size: int
) -> Measured:
    """Run the steps under a tracker and read the figures off its record."""
    trainable, total = count_parameters(model)
    tracker = StorageTracker()
    tracker.register(loaded_tensors(model))
    weights = tracker.record.live
    batch = build_batch(request, vocab_size)
    gc.collect()
    with tracker, tracker.modules_of(model):
        for _ in range(NUM_STEPS):
            run_step(request, model, optimizer, batch, tracker)
    gc.collect()
    record = tracker.record
    return Measured(weights, record.peak, record.live, trainable, total, record)


def read_requests(path: str, only: str | None = None) -> Iterator[tuple[PlanRequest, dict[str, int] | None]]:
    """Requests of a file, one JSON object a line: plain, or {"request", "measured"} as in the truth."""
    with open(path) as lines:
        for line in lines:
            data = json.loads(line)
            request = parse_request(data.get("request", data))
            if only in (None, request.id):
                yield request, data.get("measured")


def print_live(record: Record) -> None:
    """The storages live at the peak, largest groups first, and the event timeline around one layer and the head."""
    peak = record.events[record.peak_event]
    print(f"peak {record.peak:,} in {peak.phase} at {peak.module or '-'} by {peak.birth.op}")
    groups: dict[tuple[Any, ...], list[Birth]] = defaultdict(list)
    for birth in record.live_at_peak():
        groups[_pattern(birth.module), birth.op, birth.phase, birth.shape, birth.dtype].append(birth)
    for key, births in sorted(groups.items(), key=lambda item: -sum(b.num_bytes for b in item[1])):
        num_bytes = sum(b.num_bytes for b in births)
        print(f"{num_bytes:>14,} {len(births):>4} x {key[1]:<44} {key[2]:<9} {str(key[3]):<22} {key[4]:<9} {key[0]}")


def print_events(record: Record, layer: int = 1) -> None:
    """Births and ends in the second step that touch one layer or lie outside the layers."""
    start = next(i for i, e in enumerate(record.events) if e.phase == "between") if record.events else 0
    for index, event in enumerate(record.events[start:], start):
        place = event.module
        if f".{layer}." in f"{place}." or not any(part.isdigit() for part in place.split(".")):
            print(
                f"{index:>6} {event.delta:>+14,} {event.live:>14,} {event.phase:<9} {event.birth.op:<40} "
                f"{str(event.birth.shape):<22} {event.birth.dtype:<9} @{place}"
            )


def _pattern(module: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in module.split("."))


def run_entry(prog: str, description: str, run: Callable[[PlanRequest], Measured]) -> None:
    """The developer's entry of this module and of profiler.trace: requests in, JSON lines out."""
    parser = ArgumentParser(prog=f"python -m {prog}", description=description)
    parser.add_argument("requests")
    parser.add_argument("--id")
    parser.add_argument("--live", action="store_true", help="list what is live at the peak")
    parser.add_argument("--events", action="store_true", help="print the events of one layer and the head")
    options = parser.parse_args()
    for request, truth in read_requests(options.requests, options.id):
        started = time.perf_counter()
        try:
            measured = run(request)
        except Exception as error:  # noqa: BLE001
            if options.id:
                raise
            print(json.dumps({"id": request.id, "error": repr(error)[:300]}), flush=True)
            continue
        report(request, truth, measured, time.perf_counter() - started)
        if options.live:
            print_live(measured.record)
        if options.events:
            print_events(measured.record)


def report(request: PlanRequest, truth: dict[str, int] | None, measured: Measured, seconds: float) -> None:
    """One JSON line; with a truth, the differences to it."""
    got = measured.as_dict()
    line: dict[str, Any] = {"id": request.id, "measured": got, "seconds": round(seconds, 1)}
    if truth:
        line["minus_truth"] = {k: got[k] - v for k, v in truth.items()}
        line["peak_ratio"] = round(got["peak_bytes"] / truth["peak_bytes"], 5)
    print(json.dumps(line), flush=True)


def main() -> None:
    """The developer's entry."""
    run_entry("profiler.measure", __doc__ or "", measure)


if __name__ == "__main__":
    sys.exit(main())
