"""Training steps on several processes, each with a device of its own: what every rank holds at its peak.

torchrun --nproc-per-node 2 -m profiler.distributed REQUESTS.jsonl

On several nodes the same line runs on each of them, with torchrun's rendezvous: --nnodes 2 --node-rank 0 or 1
--master-addr HOST --master-port PORT. Rank 0 prints one JSON line a request; gloo joins CPUs, nccl joins GPUs.
"""

import gc
import json
import os
import sys
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from planner.errors import PlannerError, RequestError
from planner.schema import PlanRequest, parse_request
from profiler.build import (
    build_batch,
    build_model,
    check_supported,
    count_parameters,
    loaded_tensors,
    trainable_parameters,
)
from profiler.categories import Categories
from profiler.child import versions
from profiler.configs import build_config
from profiler.entry import read_lines
from profiler.measured import Measured, read_record
from profiler.optimizers import build_optimizer
from profiler.shards import ShardTracker
from profiler.step import run_step
from profiler.wrap import check_wrappable, wrap

NUM_STEPS = 2
JOIN_TIMEOUT = timedelta(minutes=10)


def main() -> int:
    """Join the other processes and run each request of the file; rank 0 prints what all ranks measured."""
    dist.init_process_group("gloo", timeout=JOIN_TIMEOUT)
    try:
        for data in read_lines(sys.argv[1]):
            _one(data)
    finally:
        dist.destroy_process_group()
    return 0


def _one(data: dict[str, Any]) -> None:
    answers: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    request = parse_request(data)
    dist.gather_object(_run(request), answers)
    if answers is not None:
        sys.stdout.write(json.dumps(_summary(request, answers)) + "\n")
        sys.stdout.flush()


def _run(request: PlanRequest) -> dict[str, Any]:
    """This rank's figures, or the line it refuses with: the other ranks must not wait for it."""
    try:
        return {"rank": dist.get_rank(), **measure_rank(request).as_dict()}
    except PlannerError as error:
        return {"rank": dist.get_rank(), "error": {"message": error.message, "field": error.field}}


def measure_rank(request: PlanRequest) -> Measured:
    """Build, wrap and train the model on this rank, every storage followed.

    Raises RequestError where the processes are not those of the request, or the profiler has no such strategy.
    """
    check_wrappable(request)
    if dist.get_world_size() != request.num_gpus:
        raise RequestError(f"num_gpus: {request.num_gpus} with {dist.get_world_size()} processes", "num_gpus")
    config = build_config(request)
    notes = check_supported(request, config)
    torch.manual_seed(0)
    model = build_model(request, config)
    params = count_parameters(model)
    tracker = ShardTracker()
    vocab_size = config.get_text_config().vocab_size
    batch = build_batch(request, vocab_size)
    with ExitStack() as stack:
        stack.enter_context(tracker.resizes())
        wrapped = wrap(request, model)
        tracker.register(loaded_tensors(model))
        optimizer = build_optimizer(request.optim, trainable_parameters(model))
        stack.enter_context(tracker)
        stack.enter_context(tracker.modules_of(model))
        for step in range(1, NUM_STEPS + 1):
            tracker.step = step
            run_step(request, wrapped, optimizer, batch, tracker)
        gc.collect()
    num_logits = batch["input_ids"].numel() * vocab_size
    return read_record(Categories(tracker.record, num_logits), params, notes)


def _summary(request: PlanRequest, ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer of all ranks: the worst rank's bytes under the plan's names, and every rank's own."""
    refused = next((rank for rank in ranks if "error" in rank), None)
    if refused is not None:
        return {"id": request.id, "error": refused["error"]}
    worst = max(ranks, key=lambda rank: int(rank["peak_bytes"]))
    return {
        "id": request.id,
        "level": "profile",
        "method": request.method,
        "strategy": request.parallelism.strategy,
        "num_processes": len(ranks),
        "num_nodes": int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        "backend": "gloo",
        "versions": versions(),
        "steps": NUM_STEPS,
        **{name: value for name, value in worst.items() if name != "rank"},
        "ranks": ranks,
    }


if __name__ == "__main__":
    sys.exit(main())
