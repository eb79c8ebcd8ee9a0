"""Real training steps on a device of this machine, every storage followed.

python -m profiler.measure REQUESTS.jsonl [--id ID] [--live] [--events]
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from planner.schema import PlanRequest
from profiler.build import (
    Batch,
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
from profiler.step import Follower, run_step
from profiler.storages import StorageTracker

NUM_STEPS = 2


@dataclass(slots=True)
class Training:
    """Everything that a step needs, as it stands before the first."""

    request: PlanRequest
    model: nn.Module
    optimizer: torch.optim.Optimizer
    batch: Batch
    vocab_size: int
    notes: tuple[str, ...] = ()

    def step(self, follower: Follower) -> None:
        """One optimizer step."""
        run_step(self.request, self.model, self.optimizer, self.batch, follower)


class Unfollowed:
    """A step that nobody follows still says its phase."""

    phase = ""


def measure(request: PlanRequest) -> Measured:
    """Build the request's model on the CPU and run real steps."""
    return follow(build_training(request, build_config(request)))


def build_training(request: PlanRequest, config: Any, device: str = "cpu", seed: int = 0) -> Training:
    """The model of a config, its optimizer and one batch on a device, the same for the same seed.

    Raises RequestError for what real steps cannot do.
    """
    together = torch.distributed.is_initialized()
    notes = check_supported(request, config, device_type=torch.device(device).type, sharded=together)
    torch.manual_seed(seed)
    model = build_model(request, config, device)
    optimizer = build_optimizer(request.optim, trainable_parameters(model))
    vocab_size = config.get_text_config().vocab_size
    return Training(request, model, optimizer, build_batch(request, vocab_size, device), vocab_size, notes)


def follow_steps(
    request: PlanRequest,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    vocab_size: int,
    notes: tuple[str, ...] = (),
) -> Measured:
    """The first steps of a model, real or fake, on a batch that is made here."""
    batch = build_batch(request, vocab_size)
    return follow(Training(request, model, optimizer, batch, vocab_size, notes))


def follow(training: Training, run: Callable[[int, Callable[[], None]], None] = lambda _, step: step()) -> Measured:
    """Run the first steps under a tracker and read the figures off its record; the batch itself is not counted.

    run: told the number of each step, runs it; whoever wants its time or shows progress gives another.
    """
    params = count_parameters(training.model)
    tracker = StorageTracker()
    tracker.register(loaded_tensors(training.model))
    with tracker, tracker.modules_of(training.model), _only_new_garbage():
        for step in range(1, NUM_STEPS + 1):
            tracker.step = step
            run(step, lambda: training.step(tracker))
        gc.collect()
    num_logits = training.batch["input_ids"].numel() * training.vocab_size
    categories = Categories(tracker.record, num_logits, classes_of(training.model))
    return read_record(categories, params, training.notes)


@contextmanager
def _only_new_garbage() -> Iterator[None]:
    """Keep the collector to what the steps make: going over all that the libraries made takes longer than a trace."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def main() -> None:
    """The developer's entry."""
    from profiler.entry import run_entry

    run_entry("profiler.measure", __doc__ or "", measure)


if __name__ == "__main__":
    main()
