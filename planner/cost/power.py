"""Power of cards at work, and of the machine and the site around them."""

from dataclasses import dataclass

from planner.catalog import GpuRow, ownership_default
from planner.pricing import PricingSettings

WATTS_PER_KILOWATT = 1000


@dataclass(frozen=True, slots=True)
class Power:
    """Watts of one card and of its share of the machine, and the site's factor on both."""

    card_w: float
    host_w: float
    usage_effectiveness: float

    def kilowatts(self, num_gpus: int) -> float:
        """Power at the meter while the cards work."""
        return num_gpus * (self.card_w + self.host_w) * self.usage_effectiveness / WATTS_PER_KILOWATT


def power_of(gpu: GpuRow, pricing: PricingSettings) -> Power | None:
    """Power under load; None where neither the request nor the catalogue says what the card draws.

    Source of the defaults: data/ownership.csv (a measured 8 x H100 node). Leaves out: the card's idle hours.
    """
    card, host = pricing.power_w, pricing.host_power_w
    if gpu.tdp_w is None and (card is None or host is None):
        return None
    tdp = gpu.tdp_w or 0.0
    return Power(
        tdp * ownership_default("power_share").value if card is None else card,
        tdp * ownership_default("host_power_share").value if host is None else host,
        given_or_default(pricing, "power_usage_effectiveness"),
    )


def given_or_default(pricing: PricingSettings, name: str) -> float:
    """A term of the request, or data/ownership.csv's where it is left open."""
    value: float | None = getattr(pricing, name)
    return ownership_default(name).value if value is None else value
