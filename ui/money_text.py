"""Hours and USD in words: how an answer's time and money are written."""

from datetime import date

from planner.answer import Plan, Price
from planner.cost.age import GIVEN, age_text
from planner.report_money import energy, hours, usd
from ui.figures import short

__all__ = ["between", "change", "energy", "hours", "price_line", "rate", "short_usd", "usd", "utilization"]

_PRICING = {"on_demand": "on demand", "spot": "spot", "reserved": "reserved by the month", "owned": "owned"}


def between(low: float | None, high: float | None, write: object) -> str | None:
    """A band in the words of its figures, None where there is none."""
    if low is None or high is None or not callable(write):
        return None
    return f"{write(low)} to {write(high)}"


def short_usd(amount: float) -> str:
    """Money for a card of figures, which cuts off what is longer than "1,234 USD"."""
    return usd(amount) if amount < 10_000 else f"{short(amount)} USD"


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


def change(before: Plan, after: Plan) -> str | None:
    """What a change costs in time and money (estimated), None where neither is known."""
    parts = [_time_change(before, after), _money_change(before, after)]
    said = ", ".join(part for part in parts if part)
    return f"Estimated: {said}" if said else None


def _time_change(before: Plan, after: Plan) -> str:
    if after.train_hours is not None:
        return f"{hours(after.train_hours)} of training"
    if not before.tokens_per_second or not after.tokens_per_second:
        return ""
    return f"{before.tokens_per_second / after.tokens_per_second:.2g} times as long for the same tokens"


def _money_change(before: Plan, after: Plan) -> str:
    if after.cost_usd is not None:
        return usd(after.cost_usd)
    if after.price is None:
        return ""
    an_hour = f"{usd(after.price.usd_per_hour)} an hour"
    return an_hour if before.price is None or after.price != before.price else ""


def utilization(plan: Plan) -> str | None:
    """The share of the card's rate that the step uses, None where it is not known."""
    if plan.mfu is None:
        return None
    return f"{plan.mfu:.0%} of the card's matrix rate (MFU)"
