"""Prices: the offers of data/prices.csv, and the cheapest one that holds a number of cards."""

from functools import cache

from planner.catalog.rows.price import PriceRow, Pricing
from planner.catalog.tables import read_table

_TABLE = "prices.csv"

#: Most cards of one rented machine at a provider that sells by the card.
_MAX_CARDS = 8


def list_prices(
    gpu_key: str | None = None,
    num_gpus: int | None = None,
    pricing: Pricing | None = None,
    provider: str | None = None,
) -> list[PriceRow]:
    """The offers of this card, this exact number of cards an instance, this pricing and this provider."""
    wanted = {
        "gpu_key": gpu_key,
        "gpus_per_instance": None if num_gpus is None else str(num_gpus),
        "pricing": pricing,
        "provider": provider,
    }
    table = read_table(_TABLE)
    filters = [(table.columns.index(column), value) for column, value in wanted.items() if value is not None]
    return [
        _row(number)
        for number, cells in enumerate(table.rows)
        if all(cells[column] == value for column, value in filters)
    ]


def cheapest_price(
    gpu_key: str, num_gpus: int, pricing: Pricing = "on_demand", provider: str | None = None
) -> PriceRow | None:
    """The offer of least price whose one instance holds num_gpus of this card, or None.

    Old prices and prices of parts are taken only where nothing else is offered; each row says in its note,
    date and source what kind of price it is.
    """
    rows = list_prices(gpu_key, pricing=pricing, provider=provider)
    offers = [offer for row in rows if (offer := _offer(row, num_gpus)) is not None]
    return min(offers, key=lambda offer: (offer.is_indicative, offer.price_usd_per_hour_instance), default=None)


@cache
def _row(number: int) -> PriceRow:
    return read_table(_TABLE).validated(number, PriceRow)


def _offer(row: PriceRow, num_gpus: int) -> PriceRow | None:
    """The row as an instance of at least num_gpus cards; one sold by the card is multiplied."""
    if row.gpus_per_instance >= num_gpus:
        return row
    if row.sold_as != "per_gpu" or num_gpus > _MAX_CARDS:
        return None
    total_usd_per_hour = row.price_usd_per_gpu_hour * num_gpus
    return row.model_copy(
        update={
            "gpus_per_instance": num_gpus,
            "price_usd_per_hour_instance": total_usd_per_hour,
            "derived": True,
            "note": f"{row.note}; {num_gpus} x the price of one",
        }
    )
