"""What the topic "sharding" shows: weights, gradients and states on each of several cards, by strategy."""

from collections.abc import Mapping

from planner.errors import PlannerError
from planner.learn.blocks import Grid
from planner.learn.cases import ONE_CARD, Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question
from planner.units import gib

#: Cards where the reader has one.
_CARDS = 8
_STRATEGIES = ("ddp", "zero1", "zero2", "zero3", "fsdp")
_STRONGEST = "fsdp"


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, alone = Facts(), case.changed(**ONE_CARD)
    put_question(facts, case)
    cards = case.request.num_gpus if case.request.num_gpus > 1 else _CARDS
    facts.put("n", cards, "count", "request: num_gpus of a variant")
    facts.take("request", case.request, "text", optim="optim", dtype="dtype")
    step = alone.phase("optimizer_step").live_bytes
    facts.put("W", step["weights"], "bytes", "plan (one card): optimizer_step")
    facts.put("G", step["gradients"], "bytes", "plan (one card): optimizer_step")
    facts.put("O", step["optimizer"], "bytes", "plan (one card): optimizer_step")
    facts.put("strongest", _STRONGEST, "text", "request: parallelism.strategy of a variant")
    shared = {strategy: _shared(alone, strategy, cards) for strategy in _STRATEGIES}
    strongest = shared[_STRONGEST] or alone
    facts.put("three_peak", strongest.plan.peak_bytes, "bytes", f"plan ({_STRONGEST}): peak_bytes")
    facts.put("plain_states", step["optimizer"] // cards, "bytes", "plan (one card): states / cards")
    deepspeed = shared["zero1"]
    states = deepspeed.phase("optimizer_step").live_bytes["optimizer"] if deepspeed else 0
    facts.put("deepspeed_states", states, "bytes", "plan (zero1): states in the optimizer step")
    facts.flag(master_copies=states > 2 * step["optimizer"] // cards)
    return facts, {"strategies": _strategies(facts, shared)}


def _shared(alone: Case, strategy: str, cards: int) -> Case | None:
    """The case on several cards; None where the planner refuses this strategy for this model."""
    try:
        case = alone.changed(num_gpus=cards, parallelism={"strategy": strategy})
        assert case.plan
    except PlannerError:
        return None
    return case


def _strategies(facts: Facts, shared: Mapping[str, Case | None]) -> Grid:
    rows = []
    for strategy, case in shared.items():
        if case is None:
            continue
        step, origin = case.phase("optimizer_step").live_bytes, f"plan ({strategy})"
        values = [step["weights"], step["gradients"], step["optimizer"], case.plan.peak_bytes, case.plan.device_bytes]
        cells = (cell(facts, f"{strategy}_{i}", gib(value), "gib", origin) for i, value in enumerate(values))
        rows.append((f"`{strategy}`", *cells))
    columns = ("strategy", "weights", "gradients", "states", "peak", "device")
    return Grid(columns, tuple(rows), (1, 2, 3, 4, 5))
