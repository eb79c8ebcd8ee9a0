"""Questions on what fits a card, and what it costs."""

from random import Random
from typing import Any

from planner.advise import advise
from planner.catalog import find_gpu
from planner.drills.drill import Drill
from planner.drills.pools import CARDS, LENGTHS, TOKENS, counted, fields_of, model, plan_of, request_of, short
from planner.schema import METHODS
from planner.units import format_count, format_gib

_ANSWERS = ("fits", "does not fit")
_MOST_SHOWN = 3


def fits(rng: Random) -> Drill:
    """A case that is clear: its whole band lies on one side of what the card offers."""
    while True:
        card, method, length = rng.choice(CARDS), rng.choice(METHODS), rng.choice(LENGTHS)
        request = request_of(model=model(rng), method=method, gpu=card, max_length=length)
        plan = plan_of(request)
        if plan.verdict in _ANSWERS and plan.usable_bytes is not None:
            break
    parts = sorted((getattr(plan, f"{c}_bytes"), c) for c in ("weights", "activations", "logits", "optimizer"))[::-1]
    lines = [f"{name}: {format_gib(size)}" for size, name in parts if size]
    changes = [f"{s.label}: then {s.verdict}, needs {format_gib(s.device_bytes)}" for s in _enough(request, plan)]
    offers = f"needs {format_gib(plan.needed_bytes)}; the card offers {format_gib(plan.usable_bytes)}"
    return Drill(
        "fit",
        "choice",
        f"{counted(plan)}, {method}, 1 x {length:,} tokens with gradient checkpointing, weights loaded in 16 bits, "
        f"AdamW: does it fit on one {find_gpu(card).name}?",
        (*lines, offers, *(["What to change:", *changes] if changes else [])),
        fields_of(request),
        choices=_ANSWERS,
        answer=str(plan.verdict),
    )


def _enough(request: Any, plan: Any) -> list[Any]:
    """Changes that make it fit, the cheapest first."""
    if plan.verdict == "fits":
        return []
    return [s for s in advise(request, plan) if s.verdict == "fits"][:_MOST_SHOWN]


def _timed(rng: Random) -> tuple[Any, Any, int]:
    """A run that fits, with its time and price."""
    while True:
        tokens = rng.choice(TOKENS)
        request = request_of(
            model=model(rng),
            method=rng.choice(("lora", "qlora")),
            gpu=rng.choice(CARDS),
            max_length=1024,
            per_device_train_batch_size=4,
            dataset={"num_tokens": tokens},
        )
        plan = plan_of(request)
        if plan.verdict == "fits" and plan.train_hours and plan.cost_usd and plan.price and plan.tokens_per_second:
            return request, plan, tokens


def hours(rng: Random) -> Drill:
    request, plan, tokens = _timed(rng)
    speed = f"{plan.tokens_per_second:,.0f}"
    return Drill(
        "cost",
        "number",
        f"{short(plan.model)} trains with {plan.method} at an estimated {speed} tokens a second. How long do "
        f"{format_count(tokens)} tokens take?",
        (f"{tokens:,} tokens / {speed} tokens a second / 3,600 = {plan.train_hours:,.3g} hours",),
        fields_of(request),
        "time",
        plan.train_hours,
    )


def cost(rng: Random) -> Drill:
    request, plan, tokens = _timed(rng)
    price = plan.price
    return Drill(
        "cost",
        "number",
        f"{short(plan.model)} trains with {plan.method} on one {find_gpu(plan.gpu).name} at an estimated "
        f"{plan.tokens_per_second:,.0f} tokens a second; the card costs {price.usd_per_hour:.4g} USD an hour "
        f"({price.provider}, {price.as_of}). What do {format_count(tokens)} tokens cost?",
        (
            f"{tokens:,} / {plan.tokens_per_second:,.0f} / 3,600 = {plan.train_hours:,.3g} hours",
            f"x {price.usd_per_hour:.4g} USD an hour = {plan.cost_usd:,.2f} USD",
            f"price: {price.source}",
        ),
        fields_of(request),
        "money",
        plan.cost_usd,
    )
