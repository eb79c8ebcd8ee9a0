"""Hours and USD in words: how an answer's time and money are written."""

from datetime import date

from planner.answer import Plan, Price
from planner.cost.age import GIVEN, age_text
from planner.report_money import hours, usd

__all__ = ["between", "hours", "price_line", "rate", "usd", "utilization"]

_PRICING = {"on_demand": "on demand", "spot": "spot", "reserved": "reserved by the month", "owned": "owned"}


def between(low: float | None, high: float | None, write: object) -> str | None:
    """A band in the words of its figures, None where there is none."""
    if low is None or high is None or not callable(write):
        return None
    return f"{write(low)} to {write(high)}"


def rate(value: float) -> str:
    """Tokens a second."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def price_line(price: Price, today: date) -> str:
    """What an hour costs, of whom, of what day and from where; old and undated prices are marked."""
    owner = "" if price.pricing == "owned" else price.provider
    where = ", ".join(filter(None, (_PRICING[price.pricing], owner, price.instance, price.region)))
    cards = f"{price.gpus:,} GPU{'s' if price.gpus > 1 else ''}"
    said = f"{usd(price.usd_per_hour)} an hour for {cards}, {where}"
    return "; ".join(filter(None, (said, _known(price, today), price.note)))


def _known(price: Price, today: date) -> str:
    """Of what day and from where a price is known."""
    if price.source == GIVEN:
        return GIVEN
    dated = f"price of {age_text(price, today)}" if price.as_of else age_text(price, today)
    return f"{dated}, [source]({price.source})" if price.source.startswith("https://") else f"{dated}, {price.source}"


def utilization(plan: Plan) -> str | None:
    """The share of the card's rate that the step uses, None where it is not known."""
    if plan.mfu is None:
        return None
    return f"{plan.mfu:.0%} of the card's matrix rate (MFU)"
