"""Words on time and money: hours, USD, and what the price rests on."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from planner.answer import Plan, Price
from planner.cost.age import GIVEN, age_text
from planner.cost.owned import HOURS_PER_YEAR
from planner.cost.rate import SECONDS_PER_HOUR

_PER_MILLION = "usd_per_million_tokens"


def time_and_money(plan: Plan, today: date) -> Iterator[str]:
    """Lines of what is known: the speed of a step, the run's hours and cost, the price of an hour."""
    if plan.step_seconds is not None:
        yield speed_text(plan)
    if plan.train_hours is not None:
        yield run_text(plan)
    if plan.price is not None:
        yield price_text(plan.price, today)


def figures_of(plans: Sequence[Plan]) -> dict[str, list[str]]:
    """Columns of a table of plans: those that any of them has a figure for, by heading; blank where it does not fit."""
    columns = {"hours": ("train_hours", ",.1f"), "USD": ("cost_usd", ",.2f"), "USD/M tokens": (_PER_MILLION, ".3f")}
    cells = {
        heading: ["" if (value := _of_fitting(plan, name)) is None else format(value, form) for plan in plans]
        for heading, (name, form) in columns.items()
    }
    return {heading: column for heading, column in cells.items() if any(column)}


def _of_fitting(plan: Plan, name: str) -> float | None:
    return None if plan.verdict == "does not fit" else getattr(plan, name)


def speed_text(plan: Plan) -> str:
    """Seconds a step, tokens a second and how much of the card is used."""
    takes = "If it fitted, a step would take" if plan.verdict == "does not fit" else "A step takes"
    words = f"{takes} {_seconds(plan.step_seconds or 0)} (estimated"
    if plan.step_seconds_low is not None and plan.step_seconds_high is not None:
        words += f"; {_seconds(plan.step_seconds_low)} to {_seconds(plan.step_seconds_high)}"
    words += f"): {plan.tokens_per_second or 0:,.0f} tokens a second"
    return f"{words}, {plan.mfu:.0%} of the cards' peak (MFU)." if plan.mfu is not None else f"{words}."


def run_text(plan: Plan) -> str:
    """Hours, energy and cost of the whole run."""
    assert plan.train_hours is not None
    fits = plan.verdict != "does not fit"
    took = f"{hours(plan.train_hours)}{_range(hours, plan.train_hours_low, plan.train_hours_high)}"
    words = f"The run {'takes' if fits else 'would take'} {took}"
    if plan.energy_kwh is not None:
        words += f" and {energy(plan.energy_kwh)}"
    if plan.cost_usd is None:
        return f"{words}; nothing is priced."
    cost = f"{usd(plan.cost_usd)}{_range(usd, plan.cost_usd_low, plan.cost_usd_high)}"
    per_million = plan.usd_per_million_tokens
    each = "" if per_million is None else f", {usd(per_million)} a million tokens"
    return f"{words}, and {'costs' if fits else 'would cost'} {cost}{each}."


def price_text(price: Price, today: date) -> str:
    """The price of an hour with provider, instance, date and source."""
    dated = GIVEN if price.source == GIVEN else f"{age_text(price, today)}; {price.source}"
    note = f"; {price.note}" if price.note else ""
    return f"Price: {usd(price.usd_per_hour)} an hour, {place_text(price)} ({dated}){note}."


def place_text(price: Price) -> str:
    """Whose instance it is, where, and how it is paid for."""
    if price.pricing == "owned":
        return "owned cards"
    count = f"{price.instances} x " if price.instances > 1 else ""
    cards = f"{price.gpus} card{'s' if price.gpus > 1 else ''}"
    where = f" in {price.region}" if price.region else ""
    instance = f"{count}{price.instance}" if price.instance else cards
    return f"{price.pricing.replace('_', ' ')} at {price.provider}, {instance}{where}"


def usd(amount: float) -> str:
    """Money, with cents where they matter: ``1,240 USD``, ``12.40 USD``, ``0.0031 USD``."""
    if amount >= 100:
        return f"{amount:,.0f} USD"
    return f"{amount:.2f} USD" if amount >= 0.1 else f"{amount:.2g} USD"


def hours(count: float) -> str:
    """A time given in hours as people say it: seconds, minutes, hours, days or years."""
    if count * SECONDS_PER_HOUR < 90:
        return f"{count * SECONDS_PER_HOUR:.3g} s"
    if count < 1.5:
        return f"{count * 60:.3g} min"
    if count < 1000:
        return f"{count:,.3g} h"
    years = count / HOURS_PER_YEAR
    return f"{count / 24:,.0f} days" if years < 3 else f"{years:,.0f} years" if years >= 100 else f"{years:.3g} years"


def energy(kwh: float) -> str:
    """Electricity with three digits: kWh, MWh or GWh."""
    for size, unit in ((10**6, "GWh"), (10**3, "MWh")):
        if kwh >= size:
            return f"{kwh / size:,.3g} {unit}" if kwh < 1000 * size else f"{kwh / size:,.0f} {unit}"
    return f"{kwh:.3g} kWh"


def _seconds(count: float) -> str:
    return hours(count / SECONDS_PER_HOUR)


def _range(words: Callable[[float], str], low: float | None, high: float | None) -> str:
    if low is None or high is None or words(low) == words(high):
        return ""
    return f" ({words(low)} to {words(high)})"
