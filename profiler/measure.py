"""Real training steps on this machine's CPU, every storage followed.

python -m profiler.measure REQUESTS.jsonl [--id ID] [--live] [--events]
"""

import gc

import torch
from torch import nn

from planner.schema import PlanRequest
from profiler.build import (
    build_batch,
    build_model,
    check_supported,
    count_parameters,
    loaded_tensors,
    trainable_parameters,
)
from profiler.categories import Categories
from profiler.configs import build_config
from profiler.live import classes_of
from profiler.measured import Measured, read_record
from profiler.optimizers import build_optimizer
from profiler.step import run_step
from profiler.storages import StorageTracker

NUM_STEPS = 2


def measure(request: PlanRequest) -> Measured:
    """Build the request's model on the CPU and run real steps."""
    config = build_config(request)
    notes = check_supported(request, config)
    torch.manual_seed(0)
    model = build_model(request, config)
    optimizer = build_optimizer(request.optim, trainable_parameters(model))
    return follow_steps(request, model, optimizer, config.get_text_config().vocab_size, notes)


def follow_steps(
    request: PlanRequest,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    vocab_size: int,
    notes: tuple[str, ...] = (),
) -> Measured:
    """Run the steps under a tracker and read the figures off its record; the batch itself is not counted."""
    params = count_parameters(model)
    tracker = StorageTracker()
    tracker.register(loaded_tensors(model))
    batch = build_batch(request, vocab_size)
    with tracker, tracker.modules_of(model):
        for step in range(1, NUM_STEPS + 1):
            tracker.step = step
            run_step(request, model, optimizer, batch, tracker)
        gc.collect()
    categories = Categories(tracker.record, batch["input_ids"].numel() * vocab_size, classes_of(model))
    return read_record(categories, params, notes)


def main() -> None:
    """The developer's entry."""
    from profiler.entry import run_entry

    run_entry("profiler.measure", __doc__ or "", measure)


if __name__ == "__main__":
    main()
