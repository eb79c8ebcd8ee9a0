"""How old a price is at a given day, and whether it is only indicative."""

from datetime import date

from planner.answer import DateConfidence

#: A dated price older than this is marked: providers changed prices by 30% within six weeks in 2026 (data/README.md).
STALE_DAYS = 90


def age_days(as_of: date | None, today: date) -> int | None:
    """Days since the price was valid; None where the source has no date."""
    return None if as_of is None else (today - as_of).days


def is_indicative(as_of: date | None, confidence: DateConfidence, today: date) -> bool:
    """Undated, old, or dated longer ago than STALE_DAYS."""
    days = age_days(as_of, today)
    return confidence in ("undated", "old") or days is None or days > STALE_DAYS


def age_text(as_of: date | None, confidence: DateConfidence, today: date) -> str:
    """The date of a price and its mark: ``2026-07-20, over 90 days old``, ``no date: indicative``."""
    if as_of is None:
        return "old, no date: indicative" if confidence == "old" else "no date: indicative"
    return f"{as_of}, over {STALE_DAYS} days old" if is_indicative(as_of, confidence, today) else str(as_of)
