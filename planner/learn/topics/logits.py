"""What the topic "logits" shows: the head's tensors by way of computing the loss."""

from collections.abc import Mapping
from typing import Literal, get_args

from planner.answer import PHASE_NAMES
from planner.errors import RequestError
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question
from planner.memory.reach import executed_blocks
from planner.units import ITEMSIZE, gib

LOSS_BYTES = ITEMSIZE["float32"]
Loss = Literal["full", "chunked", "fused"]
_HEAD_PHASES = ("forward", "loss", "backward_head")


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic.

    Raises RequestError for a model without a language-model head.
    """
    facts, architecture, request = Facts(), case.architecture, case.request
    if architecture.head is None:
        raise RequestError(f"topic 'logits': {case.plan.model} has no head that makes logits: take another model")
    put_question(facts, case)
    full = case.changed(gradient_checkpointing=True, loss="full")
    facts.put("V", architecture.head.out_features, "count", "architecture: head")
    facts.put("b_loss", LOSS_BYTES, "count", "torch: float32")
    layers = sum(block.count for block in executed_blocks(architecture))
    facts.put("L", layers, "count", "architecture: num_layers")
    held = _head_bytes(full)
    one = request.per_device_train_batch_size * request.max_length * architecture.head.out_features * LOSS_BYTES
    facts.put("head_bytes", held, "bytes", "plan (checkpointing): most logits of a phase")
    facts.put("n", round(held / one, 2), "ratio", "plan (checkpointing): most logits of a phase / one copy")
    width = architecture.hidden_size * ITEMSIZE[case.prepared.setup.kept_dtype]
    checkpoints = layers * request.per_device_train_batch_size * request.max_length * width
    facts.put("checkpoints", checkpoints, "bytes", "plan: layers x tokens x hidden size x bytes")
    facts.put("also_held", _also(case), "text", "text")
    return facts, {"losses": _losses(facts, case)}


def _head_bytes(case: Case) -> int:
    """Logits at the moment that has most of them."""
    return max(m.live_bytes["logits"] for m in case.plan.timeline if m.phase in _HEAD_PHASES)


def _also(case: Case) -> str:
    if case.request.method == "full":
        return (
            "In full fine-tuning the head also has a weight gradient of the size of its weight, counted with gradients."
        )
    return "The head is frozen here, so it has no weight gradient."


def _losses(facts: Facts, case: Case) -> Grid:
    rows = []
    for loss in get_args(Loss):
        variant = case.changed(gradient_checkpointing=True, loss=loss)
        values = (gib(_head_bytes(variant)), gib(variant.plan.peak_bytes))
        origin = f"plan (checkpointing, loss {loss})"
        cells = (cell(facts, f"{loss}_{i}", value, "gib", origin) for i, value in enumerate(values))
        rows.append((f"`{loss}`", *cells, PHASE_NAMES[variant.plan.peak_phase]))
    return Grid(("loss", "logits GiB", "peak GiB", "the peak falls in"), tuple(rows), (1, 2))
