"""Prices as a table, each with its date and source."""

from collections.abc import Sequence
from datetime import date

from planner.catalog import PriceRow
from planner.cost.age import STALE_DAYS, age_text, is_indicative
from planner.report import Column, Table

_ORIGINS = {"shipped": "", "refreshed": "refreshed", "contract": "own contract"}


def price_table(rows: Sequence[PriceRow], today: date) -> Table:
    """One line an offer."""
    numbers = [Column(heading, "number") for heading in ("cards", "USD/h", "USD/h a card")]
    texts = [Column(name) for name in ("pricing", "provider", "instance", "region", "price of", "list", "source")]
    return Table("", (Column("gpu"), *numbers, *texts), tuple(_row(row, today) for row in rows))


def prices_text(rows: Sequence[PriceRow], today: date) -> str:
    """How many there are, and how many are only indicative."""
    marked = sum(is_indicative(row, today) for row in rows)
    parts = sum(row.sold_as == "part" for row in rows)
    count = "1 price" if len(rows) == 1 else f"{len(rows)} prices"
    words = f"{count}; undated or older than {STALE_DAYS} days, and only indicative: {marked}"
    return f"{words}; list prices without their host: {parts}." if parts else f"{words}."


def _row(row: PriceRow, today: date) -> tuple[str, ...]:
    instance = row.instance_type or ("by the card" if row.sold_as == "per_gpu" else "")
    return (
        row.gpu_key,
        f"{row.gpus_per_instance}",
        f"{row.price_usd_per_hour_instance:,.3f}",
        f"{row.price_usd_per_gpu_hour:,.3f}",
        row.pricing.replace("_", " ") + (", part" if row.sold_as == "part" else ""),
        row.provider,
        instance,
        row.region,
        age_text(row, today),
        _ORIGINS[row.origin],
        row.source_url,
    )
