"""What a plan's cards cost an hour, however they are paid for, and what hours of them come to."""

from dataclasses import dataclass, replace
from typing import Any

from planner.answer import Price
from planner.catalog import GpuRow
from planner.cost.owned import owned_price, ownership
from planner.cost.power import given_or_default, power_of
from planner.cost.rent import HOURS_PER_MONTH, own_price, rented_price
from planner.pricing import PricingSettings
from planner.schema import PlanRequest

#: A float, or an array of floats.
Number = Any

MILLION = 10**6
SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of an hour, and what a run pays besides its own hours.

    missing: one line where nothing is priced. lost_share: share of the paid hours that interruptions take.
    kilowatts: at the meter, None where the card's power is not known.
    """

    price: Price | None
    missing: str
    lost_share: float
    kilowatts: float | None

    def paid_hours(self, hours: Number) -> Number:
        """Hours that are paid for: with those lost, and in whole months where a month is reserved."""
        paid = hours / (1 - self.lost_share)
        if self.price is not None and self.price.pricing == "reserved":
            paid = -(-paid // HOURS_PER_MONTH) * HOURS_PER_MONTH
        return paid

    def usd(self, hours: Number) -> Number | None:
        """Cost of a run of these hours, or None where nothing is priced."""
        return None if self.price is None else self.paid_hours(hours) * self.price.usd_per_hour

    def usd_per_million_tokens(self, tokens_per_second: Number) -> Number | None:
        """Cost of training on a million tokens while the cards are in use; a started month is not rounded up."""
        if self.price is None:
            return None
        hours = MILLION / tokens_per_second / SECONDS_PER_HOUR
        return hours / (1 - self.lost_share) * self.price.usd_per_hour


def rate_of(request: PlanRequest, gpu: GpuRow, num_gpus: int | None = None, num_nodes: int | None = None) -> Rate:
    """The rate of a request's cards and pricing, or of another number of them."""
    pricing = request.pricing or PricingSettings()
    cards = request.num_gpus if num_gpus is None else num_gpus
    nodes = request.num_nodes if num_nodes is None else num_nodes
    power = power_of(gpu, pricing)
    rate = Rate(None, "", 0.0, None if power is None else power.kilowatts(cards))
    price = _price(gpu, cards, nodes, pricing)
    if isinstance(price, str):
        return replace(rate, missing=price)
    lost = given_or_default(pricing, "restart_allowance") if pricing.kind == "spot" else 0.0
    return replace(rate, price=price, lost_share=lost)


def _price(gpu: GpuRow, num_gpus: int, num_nodes: int, pricing: PricingSettings) -> Price | str:
    if pricing.usd_per_gpu_hour is not None and pricing.kind != "owned":
        return own_price(pricing.usd_per_gpu_hour, num_gpus, num_nodes, pricing.kind)
    if pricing.kind != "owned":
        return rented_price(gpu, num_gpus, num_nodes, pricing.kind, pricing.provider)
    terms = ownership(gpu, num_gpus, num_nodes, pricing)
    return terms if isinstance(terms, str) else owned_price(gpu, num_gpus, num_nodes, terms)
