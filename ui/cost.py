"""What the Cost page works out of the planner's answers: cards by price, rent or buy. No streamlit."""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.answer import Plan
from planner.catalog import GpuRow, find_gpu, list_gpus
from planner.cost.break_even import BreakEven, break_even
from planner.cost.rate import rate_of
from planner.errors import PlannerError
from planner.method_search import PlanOf
from planner.pricing import PricingSettings
from planner.schema import PlanRequest

_VERDICTS = {"fits": 0, "tight": 1, "does not fit": 2, None: 3}


@dataclass(frozen=True, slots=True)
class Option:
    """The same question on another card."""

    gpu: GpuRow
    plan: Plan


def options(request: PlanRequest, plan_of: PlanOf) -> tuple[list[Option], list[str]]:
    """The question on every card with a price: those that fit first, the cheapest first; and cards without one.

    Owned cards and an own price are held against renting by the list: the price of one card says nothing about others.
    """
    pricing = request.pricing or PricingSettings()
    is_own = pricing.kind == "owned" or pricing.usd_per_gpu_hour is not None
    rented = request.model_copy(update={"pricing": None}) if is_own else request
    found: list[Option] = []
    unpriced: list[str] = []
    for gpu in list_gpus():
        if rate_of(rented, gpu).price is None:
            unpriced.append(gpu.key)
            continue
        try:
            found.append(Option(gpu, plan_of(rented.model_copy(update={"gpu": gpu.key}))))
        except PlannerError:
            continue
    return sorted(found, key=_order), unpriced


def _order(option: Option) -> tuple[int, bool, float]:
    plan = option.plan
    assert plan.price is not None
    cost = plan.cost_usd if plan.cost_usd is not None else plan.usd_per_million_tokens
    return _VERDICTS[plan.verdict], cost is None, plan.price.usd_per_hour if cost is None else cost


def rent_or_buy(request: PlanRequest, **terms: float | None) -> BreakEven | str:
    """Renting held against buying, with these terms of owning where the request leaves them open."""
    assert request.gpu is not None
    pricing = request.pricing or PricingSettings()
    left_open = {name: value for name, value in terms.items() if getattr(pricing, name) is None}
    asked = request.model_copy(update={"pricing": pricing.model_copy(update=left_open)})
    return break_even(asked, find_gpu(request.gpu))


def cheapest_that_fits(found: Sequence[Option]) -> Option | None:
    """The first option, where its verdict is that it fits."""
    return next((option for option in found if option.plan.verdict == "fits"), None)
