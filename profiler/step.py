"""Training steps, the same for real and for fake tensors: forward, loss, backward, optimizer, zero_grad."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import nn

from planner.schema import PlanRequest
from profiler.build import Batch

AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Follower(Protocol):
    """Whoever wants to know which phase runs."""

    phase: str


def autocast(mixed_precision: str, device_type: str) -> AbstractContextManager[object]:
    """The autocast context of the Trainer's bf16 and fp16; none otherwise."""
    if mixed_precision == "no":
        return nullcontext()
    return torch.autocast(device_type, AUTOCAST_DTYPES[mixed_precision])


def run_step(
    request: PlanRequest,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    tracker: Follower,
) -> None:
    """One optimizer step of gradient_accumulation_steps micro-steps."""
    for _ in range(request.gradient_accumulation_steps):
        run_micro_step(request, model, batch, tracker)
    tracker.phase = "optimizer"
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    tracker.phase = "between"


def run_micro_step(request: PlanRequest, model: nn.Module, batch: Batch, tracker: Follower) -> None:
    """Forward and backward of one micro-batch; the output, and with it the logits, is let go before backward."""
    tracker.phase = "forward"
    with autocast(request.mixed_precision, batch["input_ids"].device.type):
        loss = model(**batch, use_cache=False).loss
    if request.gradient_accumulation_steps > 1:
        loss = loss / request.gradient_accumulation_steps
    tracker.phase = "backward"
    loss.backward()
