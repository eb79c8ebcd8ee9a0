"""What the topic "cost" shows: from operations to seconds, tokens a second, hours and USD."""

from collections.abc import Mapping

from planner.catalog import find_gpu
from planner.errors import PlannerError, RequestError
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import METHOD_NAMES, cell, put_question
from planner.schema import METHODS
from planner.throughput.constants import constants
from planner.throughput.rates import rates_of

#: Tokens where the reader's question names no dataset: of the order of the instruction sets that people use.
_TOKENS = 10**7
_COUNTS = (1, 2, 4, 8)
_SECONDS_PER_HOUR = 3600


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic.

    Raises RequestError where the card has no rates or no price.
    """
    facts = Facts()
    if case.request.dataset is None:
        case = case.changed(dataset={"num_tokens": _TOKENS})
    request, plan = case.request, case.plan
    card = find_gpu(str(request.gpu))
    if plan.step_seconds is None or plan.price is None:
        missing = "rates, so no time" if plan.step_seconds is None else "price, so no cost"
        raise RequestError(f"gpu {card.key!r}: no {missing}: take another card", "gpu")
    assert request.dataset is not None and plan.tokens_per_second is not None
    put_question(facts, case)
    facts.put("gpu", card.key, "text", "request: gpu")
    facts.put("n", request.num_gpus, "count", "request: num_gpus")
    words = f"one {card.name}" if request.num_gpus == 1 else f"{request.num_gpus} x {card.name}"
    facts.put("cards_words", words, "text", "request: gpu and num_gpus")
    facts.put("D", int(request.dataset.trained_tokens), "count", "dataset: trained tokens")
    facts.put("tokens", facts["D"].shown(), "text", "dataset: trained tokens")
    flops, rate = float(plan.flops_per_step or 0), float(rates_of(card, constants()).peak_flops)
    facts.put("F", flops, "flops", "plan: flops_per_step")
    facts.put("P", rate, "flops", "catalogue: dense rate")
    reached = flops / (rate * request.num_gpus * plan.step_seconds)
    facts.put("u", reached, "share", "plan: flops / (cards x rate x seconds)")
    facts.put("T", round(plan.tokens_per_second * plan.step_seconds), "count", "plan: tokens of a step")
    facts.put("p", plan.price.usd_per_hour, "usd", "plan: price")
    facts.put("seconds_per_hour", _SECONDS_PER_HOUR, "count", "an hour")
    facts.put("N", sum(i.elements for i in case.items if i.role not in ("adapter", "buffer")), "count", "architecture")
    facts.put("hours_low", plan.train_hours_low or 0, "hours", "plan: train_hours_low")
    facts.put("hours_high", plan.train_hours_high or 0, "hours", "plan: train_hours_high")
    offer = f"{plan.price.provider}'s, {plan.price.pricing.replace('_', ' ')}"
    facts.put("price_words", f"{offer}, of {plan.price.as_of or 'an unknown day'}", "text", "plan: price")
    facts.cite(c_forward="kaplan-forward", backward_ratio="kaplan-backward")
    return facts, {"methods": _methods(facts, case)}


def _methods(facts: Facts, case: Case) -> Grid:
    rows = []
    for method in METHODS:
        found = _on_the_fewest(case, method)
        if found is None:
            continue
        plan, origin = found.plan, f"plan ({method}, the fewest cards)"
        rows.append(
            (
                METHOD_NAMES[method],
                cell(facts, f"{method}_cards", found.request.num_gpus, "count", origin),
                cell(facts, f"{method}_rate", plan.tokens_per_second, "ratio", origin),
                cell(facts, f"{method}_hours", plan.train_hours, "two", origin),
                cell(facts, f"{method}_usd", plan.cost_usd, "two", origin),
            )
        )
    return Grid(("method", "cards", "tokens/s", "hours", "USD"), tuple(rows), (1, 2, 3, 4))


def _on_the_fewest(case: Case, method: str) -> Case | None:
    """The method on the fewest cards on which it fits; None where eight are too few or have no price."""
    for count in _COUNTS:
        shared = {"num_gpus": count, "num_nodes": 1, "parallelism": {"strategy": "fsdp" if count > 1 else "none"}}
        try:
            found = case.changed(method=method, **shared)
            if found.plan.verdict != "does not fit" and found.plan.cost_usd is not None:
                return found
        except PlannerError:
            return None
    return None
