"""How old a price is at a given day, and whether it is only indicative."""

from datetime import date
from typing import Protocol

from planner.answer import DateConfidence

#: A dated price older than this is marked: providers changed prices by 30% within six weeks in 2026 (data/README.md).
STALE_DAYS = 90
#: The source of a price that the request itself gives: it is as new as the request.
GIVEN = "given in the request"


class Dated(Protocol):
    """What a price, or a row of prices, knows of its age."""

    @property
    def as_of(self) -> date | None: ...
    @property
    def collected(self) -> date | None: ...
    @property
    def date_confidence(self) -> DateConfidence: ...


def age_days(price: Dated, today: date) -> int | None:
    """Days since the price was valid; None where the source has no date."""
    return None if price.as_of is None else (today - price.as_of).days


def is_indicative(price: Dated, today: date) -> bool:
    """Undated, old, or dated longer ago than STALE_DAYS."""
    days = age_days(price, today)
    return price.date_confidence in ("undated", "old") or days is None or days > STALE_DAYS


def age_text(price: Dated, today: date) -> str:
    """The date of a price and its mark: ``2026-07-20, over 90 days old``, ``no date, seen 2026-11-21: indicative``."""
    if price.as_of is not None:
        return f"{price.as_of}, over {STALE_DAYS} days old" if is_indicative(price, today) else str(price.as_of)
    seen = "" if price.collected is None else f", seen {price.collected}"
    return f"{'old, ' if price.date_confidence == 'old' else ''}no date{seen}: indicative"
