"""Training steps on several processes, each with a device of its own: what every rank holds at its peak.

torchrun --nproc-per-node 2 -m profiler.distributed REQUESTS.jsonl

On several nodes the same line runs on each of them, with torchrun's rendezvous: --nnodes 2 --node-rank 0 or 1
--master-addr HOST --master-port PORT. Rank 0 prints one JSON line a request; gloo joins CPUs, nccl joins GPUs.
"""

import gc
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any, TextIO

import torch
import torch.distributed as dist
from torch import nn

from planner.errors import PlannerError, RequestError
from planner.schema import PlanRequest, parse_request
from profiler.build import count_parameters, loaded_tensors, quant_state_tensors, trainable_parameters
from profiler.categories import Categories
from profiler.child import versions
from profiler.configs import build_config
from profiler.entry import read_lines
from profiler.measure import build_training
from profiler.measured import Measured, read_record
from profiler.optimizers import build_optimizer
from profiler.shards import ShardTracker
from profiler.wrap import check_wrappable, wrap

NUM_STEPS = 2
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
JOIN_TIMEOUT = timedelta(minutes=10)


def main() -> int:
    """Join the other processes and run each request of the file; rank 0 prints what all ranks measured."""
    out, sys.stdout = sys.stdout, sys.stderr
    dist.init_process_group(BACKENDS[device_type()], timeout=JOIN_TIMEOUT)
    try:
        for data in read_lines(sys.argv[1]):
            _one(data, out)
    finally:
        dist.destroy_process_group()
    return 0


def device_type() -> str:
    """Where the steps run: a GPU a process where torch sees as many, else the CPU."""
    enough = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return "cuda" if enough else "cpu"


def own_device() -> str:
    """torch's name of this process's device."""
    if device_type() == "cpu":
        return "cpu"
    device = f"cuda:{os.environ['LOCAL_RANK']}"
    torch.cuda.set_device(device)
    return device


def _one(data: dict[str, Any], out: TextIO) -> None:
    answers: list[Any] | None = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    request = parse_request(data)
    dist.gather_object(_run(request), answers)
    if answers is not None:
        out.write(json.dumps(_summary(request, answers)) + "\n")
        out.flush()


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
    device = own_device()
    training = build_training(request, build_config(request), device)
    params = count_parameters(training.model)
    tracker = ShardTracker()
    with ExitStack() as stack:
        stack.enter_context(tracker.resizes())
        constants = list(quantization_constants(training.model))
        training.model, model = wrap(request, training.model), training.model
        tracker.register((*loaded_tensors(model), *constants))
        training.optimizer = build_optimizer(request.optim, trainable_parameters(model))
        stack.enter_context(tracker)
        stack.enter_context(tracker.modules_of(model))
        for step in range(1, NUM_STEPS + 1):
            tracker.step = step
            training.step(tracker)
        gc.collect()
    num_logits = training.batch["input_ids"].numel() * training.vocab_size
    return read_record(Categories(tracker.record, num_logits), params, training.notes)


def quantization_constants(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Those of 4-bit weights: a sharded parameter no longer shows them, its module holds them whole."""
    for name, parameter in model.named_parameters():
        yield from (
            (f"{name}.{key}", value) for key, value in quant_state_tensors(getattr(parameter, "quant_state", None))
        )


def _summary(request: PlanRequest, ranks: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer of all ranks: the worst rank's bytes under the plan's names, and every rank's own."""
    refused = next((rank for rank in ranks if "error" in rank), None)
    if refused is not None:
        return {"id": request.id, "error": {"kind": "refused", **refused["error"]}}
    worst = max(ranks, key=lambda rank: int(rank["peak_bytes"]))
    answer = {
        "id": request.id,
        "level": "profile",
        "method": request.method,
        "strategy": request.parallelism.strategy,
        "num_processes": len(ranks),
        "num_nodes": int(os.environ.get("GROUP_WORLD_SIZE", "1")),
        "backend": BACKENDS[device_type()],
        "versions": versions(),
        "steps": NUM_STEPS,
        **{name: value for name, value in worst.items() if name != "rank"},
        "ranks": ranks,
    }
    return {"id": request.id, "answer": answer}


if __name__ == "__main__":
    sys.exit(main())
