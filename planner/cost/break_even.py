"""Rent or buy: after how many hours of work owned cards have cost less than rented ones, and the two curves."""

from dataclasses import dataclass

from planner.answer import Price
from planner.catalog import GpuRow
from planner.cost.owned import Ownership, ownership
from planner.cost.rate import Rate, rate_of
from planner.pricing import PricingSettings
from planner.schema import PlanRequest

POINTS = 41


@dataclass(frozen=True, slots=True)
class Point:
    """What so many hours of work cost in all, rented and owned."""

    hours: float
    rented_usd: float
    owned_usd: float


@dataclass(frozen=True, slots=True)
class BreakEven:
    """hours: of work after which buying is cheaper; None where it never is.

    working_hours: what the cards do in their useful life: a break-even beyond it is none in practice.
    """

    hours: float | None
    working_hours: float
    purchase_usd: float
    energy_usd_per_hour: float
    rent: Price
    rent_usd_per_hour: float
    curve: tuple[Point, ...]

    @property
    def pays_off(self) -> bool:
        """Whether owned cards have cost less before they are written off."""
        return self.hours is not None and self.hours < self.working_hours


def break_even(request: PlanRequest, gpu: GpuRow) -> BreakEven | str:
    """Renting held against buying for the request's cards, or one line on what is missing.

    Rented as the request's pricing says, on demand where it says owned; owned on its terms.
    hours x rent = purchase + hours x electricity, so hours = purchase / (rent - electricity).
    """
    pricing = request.pricing or PricingSettings()
    kind = "on_demand" if pricing.kind == "owned" else pricing.kind
    rented = request.model_copy(update={"pricing": pricing.model_copy(update={"kind": kind})})
    rate, terms = rate_of(rented, gpu), ownership(gpu, request.num_gpus, request.num_nodes, pricing)
    if rate.price is None:
        return rate.missing
    return terms if isinstance(terms, str) else _held_against(rate, rate.price, terms)


def _held_against(rate: Rate, price: Price, terms: Ownership) -> BreakEven:
    rent = price.usd_per_hour / (1 - rate.lost_share)
    saved = rent - terms.energy_usd_per_hour
    hours = terms.purchase_usd / saved if saved > 0 else None
    return BreakEven(
        hours=hours,
        working_hours=terms.working_hours,
        purchase_usd=terms.purchase_usd,
        energy_usd_per_hour=terms.energy_usd_per_hour,
        rent=price,
        rent_usd_per_hour=rent,
        curve=_curve(rent, terms, terms.working_hours if hours is None else min(2 * hours, terms.working_hours)),
    )


def _curve(rent_usd_per_hour: float, terms: Ownership, until_hours: float) -> tuple[Point, ...]:
    """Points at equal distances; a started month of a reservation is not rounded up."""
    hours = (until_hours * step / (POINTS - 1) for step in range(POINTS))
    return tuple(Point(h, h * rent_usd_per_hour, terms.purchase_usd + h * terms.energy_usd_per_hour) for h in hours)
