"""Rented cards: the cheapest instances that hold the plan's cards."""

from planner.answer import Price
from planner.catalog import GpuRow, PriceRow, cheapest_price
from planner.catalog.prices import MAX_CARDS, check_provider
from planner.catalog.rows.price import Pricing
from planner.cost.age import GIVEN

#: A month's contract in hours, as clouds count it: 365 x 24 / 12.
HOURS_PER_MONTH = 730


def rented_price(
    gpu: GpuRow, num_gpus: int, num_nodes: int, pricing: Pricing, provider: str | None = None
) -> Price | str:
    """The price of one instance for each node, or one line on what is missing.

    An instance that has more cards than its node needs is paid whole. Raises RequestError for an unknown provider.
    """
    cards_per_node = -(-num_gpus // num_nodes)
    row = cheapest_price(gpu.key, cards_per_node, pricing, provider)
    if row is None:
        if provider is not None:
            check_provider(provider)
        return _missing(gpu, cards_per_node, pricing, provider)
    return Price(
        provider=row.provider,
        instance=row.instance_type,
        region=row.region,
        pricing=pricing,
        usd_per_hour=row.price_usd_per_hour_instance * num_nodes,
        gpus=row.gpus_per_instance * num_nodes,
        instances=num_nodes,
        as_of=row.as_of,
        date_confidence=row.date_confidence,
        source=row.source_url,
        note=_note(row, cards_per_node),
        collected=row.collected,
    )


def own_price(usd_per_gpu_hour: float, num_gpus: int, num_nodes: int, pricing: Pricing) -> Price:
    """The price that the request itself gives."""
    return Price(
        provider="your own price",
        instance="",
        region="",
        pricing=pricing,
        usd_per_hour=usd_per_gpu_hour * num_gpus,
        gpus=num_gpus,
        instances=num_nodes,
        as_of=None,
        date_confidence="undated",
        source=GIVEN,
    )


def _note(row: PriceRow, cards_per_node: int) -> str:
    extra = row.gpus_per_instance - cards_per_node
    more = f"{cards_per_node} of {row.gpus_per_instance} cards that are paid for are used" if extra else ""
    part = "a list price: the host is extra, or it is sold in larger shapes" if row.sold_as == "part" else ""
    return "; ".join(filter(None, (more, part, row.note)))


def _missing(gpu: GpuRow, cards: int, pricing: Pricing, provider: str | None) -> str:
    kind = pricing.replace("_", " ")
    where = f" at {provider}" if provider else ""
    what = f"no {kind} price of one machine with {cards} x {gpu.name} is known{where}"
    if pricing == "reserved":
        return f"{what}: give pricing.usd_per_gpu_hour; on the command line, `tunebudget prices --import` takes them"
    if cards > MAX_CARDS:
        return f"{what}: say on how many machines the cards stand (num_nodes), or give pricing.usd_per_gpu_hour"
    return (
        f"{what}: give pricing.usd_per_gpu_hour; on the command line, `tunebudget prices --gpu {gpu.key}` lists what "
        "is known and `tunebudget prices --import` takes your own"
    )
