"""Prices: the offers of data/prices.csv and of the user's own lists, and the cheapest that holds a number of cards."""

from functools import cache, lru_cache

from planner.catalog.price_store import Stamp, kept_rows, stamp
from planner.catalog.rows.price import PriceRow, Pricing
from planner.catalog.tables import read_table
from planner.errors import RequestError

_TABLE = "prices.csv"

#: Most cards of one rented machine at a provider that sells by the card.
MAX_CARDS = 8


def list_prices(
    gpu_key: str | None = None,
    num_gpus: int | None = None,
    pricing: Pricing | None = None,
    provider: str | None = None,
) -> list[PriceRow]:
    """The offers of this card, this exact number of cards an instance, this pricing and this provider.

    What was refreshed stands for a provider's offers of a card in the table that ships; the user's contracts are added.
    """
    return [
        row
        for row in _rows(gpu_key, stamp())
        if num_gpus in (None, row.gpus_per_instance)
        and pricing in (None, row.pricing)
        and (provider is None or provider.casefold() == row.provider.casefold())
    ]


def check_provider(provider: str) -> None:
    """Raises RequestError where nobody of this name has a price, in the catalogue or in the user's own lists."""
    known = sorted({row.provider for row in _rows(None, stamp())})
    if provider.casefold() not in {name.casefold() for name in known}:
        rule = f"provider {provider!r} has no prices here; known: {', '.join(known)}"
        raise RequestError(
            f"{rule}; on the command line, `tunebudget prices --import` takes your own", "pricing.provider"
        )


def cheapest_price(
    gpu_key: str, num_gpus: int, pricing: Pricing = "on_demand", provider: str | None = None
) -> PriceRow | None:
    """The offer of least price whose one instance holds num_gpus of this card, or None.

    Old prices and prices of parts are taken only where nothing else is offered; each row says in its note,
    date and source what kind of price it is.
    """
    return _cheapest(gpu_key, num_gpus, pricing, provider, stamp())


@lru_cache(maxsize=4096)
def _cheapest(gpu_key: str, num_gpus: int, pricing: Pricing, provider: str | None, _: Stamp) -> PriceRow | None:
    return next(iter(offers(gpu_key, num_gpus, pricing, provider)), None)


def offers(gpu_key: str, num_gpus: int, pricing: Pricing | None = None, provider: str | None = None) -> list[PriceRow]:
    """Offers whose one instance holds num_gpus of this card: the cheapest first, old and partial prices last."""
    rows = list_prices(gpu_key, pricing=pricing, provider=provider)
    found = [offer for row in rows if (offer := _offer(row, num_gpus)) is not None]
    return sorted(found, key=lambda offer: (offer.is_indicative, offer.price_usd_per_hour_instance))


@lru_cache(maxsize=256)
def _rows(gpu_key: str | None, of: Stamp) -> tuple[PriceRow, ...]:
    """All offers of a card, or of every card."""
    kept = [row for row in kept_rows(of) if gpu_key in (None, row.gpu_key)]
    renewed = {(row.provider, row.gpu_key) for row in kept if row.origin == "refreshed"}
    numbers = range(len(read_table(_TABLE).rows)) if gpu_key is None else _numbers().get(gpu_key, ())
    shipped = [row for number in numbers if (row := _row(number)) and (row.provider, row.gpu_key) not in renewed]
    return (*shipped, *kept)


@cache
def _numbers() -> dict[str, list[int]]:
    """Rows of the table by card: a row is validated when its card is asked for."""
    found: dict[str, list[int]] = {}
    for number, key in enumerate(read_table(_TABLE).column("gpu_key")):
        found.setdefault(key, []).append(number)
    return found


@cache
def _row(number: int) -> PriceRow:
    return read_table(_TABLE).validated(number, PriceRow)


def _offer(row: PriceRow, num_gpus: int) -> PriceRow | None:
    """The row as an instance of at least num_gpus cards; one sold by the card is multiplied."""
    if row.gpus_per_instance >= num_gpus:
        return row
    if row.sold_as != "per_gpu" or num_gpus > MAX_CARDS:
        return None
    total_usd_per_hour = row.price_usd_per_gpu_hour * num_gpus
    return row.model_copy(
        update={
            "gpus_per_instance": num_gpus,
            "price_usd_per_hour_instance": total_usd_per_hour,
            "derived": True,
            "note": f"{row.note}; {num_gpus} x the price of one".removeprefix("; "),
        }
    )
