"""Claims about how fast the methods are, and what the same tokens cost by each."""

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any

from planner.answer import Plan
from planner.catalog import find_gpu
from planner.catalog.rows.claim import ClaimRow
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.learn.claims.checked import Checked, Found, agreed, judged
from planner.learn.claims.settings import CHECKPOINTING, models_of, request_of
from planner.limits import largest_batch

_CARDS = ("rtx-4090", "a100-80gb-sxm", "h100-sxm")
_SIZES = ((1, 512), (1, 2048), (8, 2048))
#: "As fast" in a claim: a twentieth more is not noticed.
_AS_FAST = 1.05
_MANY_MODELS = 4
#: Cards that full fine-tuning is given, the fewest on which it fits.
_COUNTS = (1, 2, 4, 8)
MILLION = 10**6


def _questions() -> Iterator[tuple[dict[str, str], dict[str, Any]]]:
    axes = models_of(7)[:_MANY_MODELS], _CARDS, CHECKPOINTING.items(), _SIZES
    for model, card, (checkpointing, on), (batch, length) in product(*axes):
        words = {"model": model, "card": find_gpu(card).name, "checkpointing": checkpointing}
        fields = {"model": model, "gpu": card, "gradient_checkpointing": on, "max_length": length}
        yield words | {"tokens": f"{batch} x {length:,} tokens"}, fields | {"per_device_train_batch_size": batch}


def _per_token(plan: Plan) -> float:
    assert plan.tokens_per_second is not None
    return 1 / plan.tokens_per_second


#: PEFT's default on a 16-bit base, and the base's own dtype.
_ADAPTERS = {"fp32 adapters": True, "16-bit adapters": False}


@cache
def _equal_batch() -> tuple[Found, ...]:
    """QLoRA's time a token over LoRA's in the same setting, where both fit."""
    found = []
    for words, fields in _questions():
        for name, on in _ADAPTERS.items():
            asked = fields | {"lora": {"autocast_adapter_dtype": on}}
            lora, qlora = (estimate(request_of(asked | {"method": method})) for method in ("lora", "qlora"))
            if "does not fit" not in (lora.verdict, qlora.verdict):
                ratio = _per_token(qlora) / _per_token(lora)
                found.append(Found(words | {"adapters": name, "batch": "the same batch"}, ratio))
    return tuple(found)


@cache
def _largest_batch() -> tuple[Found, ...]:
    """The same with the largest batch that each has room for; where LoRA has room for none, it is left out."""
    found = []
    for words, fields in _questions():
        plans = []
        for method in ("lora", "qlora"):
            request = request_of(fields | {"method": method})
            batch = largest_batch(request)
            if batch is not None:
                plans.append(estimate(request.model_copy(update={"per_device_train_batch_size": batch})))
        if len(plans) > 1:
            ratio = _per_token(plans[1]) / _per_token(plans[0])
            found.append(Found(words | {"adapters": "fp32 adapters", "batch": "the largest that fits"}, ratio))
    return tuple(found)


def slower(row: ClaimRow) -> Checked:
    """Whether QLoRA takes longer for the same batch."""
    found = _equal_batch()
    checked = agreed(found, [one.value > 1 for one in found], "times LoRA's time")
    _put_ratios(checked, found)
    alike = [one.value for one in found if one.settings["adapters"] == "16-bit adapters"]
    checked.facts.put("low_alike", min(alike), "ratio", "plans: the same with 16-bit adapters")
    checked.facts.put("high_alike", max(alike), "ratio", "plans: the same with 16-bit adapters")
    checked.sources = ("qlora", "bnb-4bit", "peft-casts")
    return checked


def as_fast(row: ClaimRow) -> Checked:
    """Whether QLoRA is as fast or faster, for the same batch or for the largest of each."""
    found = (*_equal_batch(), *_largest_batch())
    checked = agreed(found, [one.value <= _AS_FAST for one in found], "times LoRA's time a token")
    _put_ratios(checked, _equal_batch())
    speeds = [1 / one.value for one in _largest_batch()]
    checked.facts.put("low_largest", min(speeds), "ratio", "plans: QLoRA's tokens a second / LoRA's, largest batches")
    checked.facts.put("high_largest", max(speeds), "ratio", "plans: QLoRA's tokens a second / LoRA's, largest batches")
    return checked


def _put_ratios(checked: Checked, found: tuple[Found, ...]) -> None:
    for edge, value in (("low", min(one.value for one in found)), ("high", max(one.value for one in found))):
        checked.facts.put(f"{edge}_ratio", value, "ratio", "plans: time a token, the one method over the other")


# -- cost ------------------------------------------------------------------------------------------------------------


@cache
def _costs() -> tuple[tuple[dict[str, str], dict[str, float]], ...]:
    """USD a million tokens by method, each on the fewest cards on which it fits."""
    found = []
    for words, fields in _questions():
        prices = {method: _usd(fields | {"method": method}) for method in ("full", "lora", "qlora")}
        if None not in prices.values():
            found.append((words, {method: usd for method, usd in prices.items() if usd is not None}))
    return tuple(found)


def _usd(fields: dict[str, Any]) -> float | None:
    """None where it does not fit on eight cards, or nothing is priced."""
    for count in _COUNTS:
        shared = {"num_gpus": count, "parallelism": {"strategy": "fsdp"}} if count > 1 else {}
        try:
            plan = estimate(request_of(fields | shared))
        except PlannerError:
            return None
        if plan.verdict != "does not fit" and plan.usd_per_million_tokens is not None:
            return plan.usd_per_million_tokens
    return None


def _ratios() -> tuple[Found, ...]:
    return tuple(Found(words, usd["full"] / usd["lora"]) for words, usd in _costs())


def cost_ratio(row: ClaimRow) -> Checked:
    """What full fine-tuning costs over LoRA for the same tokens."""
    assert row.low is not None and row.high is not None
    checked = judged(_ratios(), row.low, row.high, "times LoRA's cost")
    _put_ratios(checked, _ratios())
    return checked


def three_costs(row: ClaimRow) -> Checked:
    """Whether the same tokens can cost what is stated for each method: by the ratio of full fine-tuning to LoRA."""
    least = row.part("full")[0] / row.part("lora")[1]
    checked = _at_least(least)
    for method in ("full", "lora", "qlora"):
        checked.facts.put(
            f"tokens_{method}", _tokens(row.part(method)[0], method), "count", "the stated cost / USD a token"
        )
    return checked


def scenario(row: ClaimRow) -> Checked:
    """Whether adapters can cost so much less than full models: the number of tasks is the same on both sides."""
    adapters, full = row.part("adapters")[0], row.part("full")[0]
    checked = _at_least(full / adapters)
    checked.facts.put("stated_ratio", full / adapters, "ratio", "the claim's own figures")
    one = dict(row.parts).get("each", (full, full))[0]
    checked.facts.put("tokens_full", _tokens(one, "full"), "count", "the stated cost / USD a token")
    return checked


def _at_least(ratio: float) -> Checked:
    found = _ratios()
    checked = agreed(found, [one.value >= ratio * 0.9 for one in found], "times LoRA's cost for the same tokens")
    _put_ratios(checked, found)
    return checked


def _tokens(usd: float, method: str) -> int:
    """Tokens that so many USD pay in the dearest of the settings."""
    return int(usd / max(prices[method] for _, prices in _costs()) * MILLION)
