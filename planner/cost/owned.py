"""Owned cards: their price written off over the hours in which they work, and their electricity."""

from dataclasses import dataclass

from planner.answer import Price
from planner.catalog import GpuRow
from planner.cost.age import GIVEN
from planner.cost.power import given_or_default, power_of
from planner.pricing import PricingSettings

HOURS_PER_YEAR = 8760


@dataclass(frozen=True, slots=True)
class Ownership:
    """What owning the cards of a plan takes: paid once, and for every hour of work."""

    purchase_usd: float
    purchase_source: str
    working_hours: float
    kilowatts: float
    electricity_usd_per_kwh: float

    @property
    def energy_usd_per_hour(self) -> float:
        """Electricity of an hour of work."""
        return self.kilowatts * self.electricity_usd_per_kwh

    @property
    def usd_per_hour(self) -> float:
        """An hour of work: its share of the purchase, and its electricity.

        purchase / (useful life x utilization) + kW x USD/kWh: straight line, nothing left at the end.
        """
        return self.purchase_usd / self.working_hours + self.energy_usd_per_hour


def ownership(gpu: GpuRow, num_gpus: int, num_nodes: int, pricing: PricingSettings) -> Ownership | str:
    """The terms of owning the cards, or one line on what is missing."""
    card_usd, source = pricing.purchase_price_usd, GIVEN
    if card_usd is None:
        card_usd, source = gpu.launch_msrp_usd, f"launch price: {gpu.msrp_source}"
    if card_usd is None:
        return f"no launch price of {gpu.name} is known: give pricing.purchase_price_usd"
    power = power_of(gpu, pricing)
    if power is None:
        return f"no power of {gpu.name} is known: give pricing.power_w and pricing.host_power_w"
    life_hours = given_or_default(pricing, "useful_life_years") * HOURS_PER_YEAR
    return Ownership(
        purchase_usd=card_usd * num_gpus + given_or_default(pricing, "host_price_usd") * num_nodes,
        purchase_source=source,
        working_hours=life_hours * given_or_default(pricing, "utilization"),
        kilowatts=power.kilowatts(num_gpus),
        electricity_usd_per_kwh=given_or_default(pricing, "electricity_usd_per_kwh"),
    )


def owned_price(gpu: GpuRow, num_gpus: int, num_nodes: int, terms: Ownership) -> Price:
    """The hour of owned cards as a price."""
    from_request = terms.purchase_source == GIVEN
    return Price(
        provider="owned",
        instance="",
        region="",
        pricing="owned",
        usd_per_hour=terms.usd_per_hour,
        gpus=num_gpus,
        instances=num_nodes,
        as_of=None if from_request else gpu.launch_date,
        date_confidence="undated" if from_request or gpu.launch_date is None else "dated",
        source=terms.purchase_source,
        note=f"{terms.purchase_usd:,.0f} USD written off over {terms.working_hours:,.0f} hours of work, "
        f"{terms.kilowatts:.2f} kW at {terms.electricity_usd_per_kwh:g} USD/kWh",
    )
