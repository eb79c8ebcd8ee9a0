"""The figures of a table's rows: of one model and method, for some cards, numbers of cards and cells."""

from collections.abc import Callable, Sequence

import numpy as np

from planner.catalog.rows.gpu import GpuRow
from planner.cost.rate import Rate, rate_of
from planner.estimate import VERDICTS
from planner.grid import on_cards
from planner.grid_cost import costs
from planner.grid_time import times
from planner.memory.counts import total_params, trainable_params, trained_bytes
from planner.memory.inventory import Item
from planner.schema import PlanRequest
from planner.sweep.block import Numbers, Texts, numbers, rounded, texts
from planner.sweep.planned import Planned
from planner.units import GIB, MIB

Shape = tuple[int, ...]
Columns = dict[str, Numbers | Texts]

#: Columns of bytes, and what they are called on cards.
_BYTES = {
    "peak_gib": "peak_bytes",
    "device_gib": "device_bytes",
    "device_low_gib": "low_bytes",
    "device_high_gib": "high_bytes",
    "needs_gib": "resident_bytes",
    "needs_low_gib": "resident_low_bytes",
    "needs_high_gib": "resident_high_bytes",
    "headroom_gib": "headroom_bytes",
}
#: Columns that only the model and its method decide.
_COUNTED: dict[str, Callable[[tuple[Item, ...]], float]] = {
    "total_params": total_params,
    "trainable_params": trainable_params,
    "adapter_mib": lambda items: trained_bytes(items) / MIB,
}
_WHOLE = ("total_params", "trainable_params")
_TIMES = ("step_seconds", "tokens_per_second", "mfu")
_COSTS = ("train_hours", "cost_usd", "usd_per_million_tokens")


class Offers:
    """What cards cost under one way of paying: looked up once for all rows of a table."""

    def __init__(self) -> None:
        self._rates: dict[tuple[str, int, int], Rate] = {}

    def rate(self, request: PlanRequest, gpu: GpuRow) -> Rate:
        """The rate of the request's cards; only their number differs within a table."""
        key = (gpu.key, request.num_gpus, request.num_nodes)
        if key not in self._rates:
            self._rates[key] = rate_of(request, gpu)
        return self._rates[key]


class Figures:
    """Arrays of (card, number of cards, cell), filled for one number of cards after the other."""

    def __init__(self, gpus: Sequence[GpuRow], shape: Shape, offers: Offers):
        self._gpus, self._shape, self._offers = gpus, shape, offers
        names = (*_BYTES, *_COUNTED, *_TIMES, *_COSTS, "usd_per_hour")
        self._found = {name: np.full(shape, np.nan) for name in names}
        self._verdict = np.full(shape, len(VERDICTS), np.intp)
        self._rates: list[Rate | None] = [None] * (len(gpus) * shape[1])

    def fill(self, number: int, planned: Planned) -> None:
        """Put in the plans on the number of cards at this place; what does not fit has no time and no cost."""
        if planned.plans is None:
            return
        request, cards = planned.plans.request, on_cards(planned.plans, self._gpus)
        timed = times(planned.plans, cards, self._gpus)
        rates = [self._offers.rate(request, gpu) for gpu in self._gpus]
        cost, runs = costs(request.dataset, timed, rates), cards.verdict < VERDICTS.index("does not fit")
        figures = {name: getattr(cards, of) / GIB for name, of in _BYTES.items()}
        figures |= {name: np.where(runs, getattr(timed, name), np.nan) for name in _TIMES}
        figures |= {name: np.where(runs, getattr(cost, name), np.nan) for name in _COSTS}
        for name, values in figures.items():
            self._found[name][:, number, planned.allowed] = values
        for name, counted in _COUNTED.items():
            self._found[name][:, number, planned.allowed] = counted(planned.plans.prepared.static.items)
        self._verdict[:, number, planned.allowed] = cards.verdict
        self._rates[number :: self._shape[1]] = rates
        hourly = [np.nan if rate.price is None else rate.price.usd_per_hour for rate in rates]
        self._found["usd_per_hour"][:, number] = np.array(hourly)[:, None]

    def columns(self) -> Columns:
        """All columns of figures, and of the prices behind them."""
        whole: Columns = {name: numbers(self._found[name]) for name in _WHOLE}
        rest = {name: rounded(values) for name, values in self._found.items() if name not in _WHOLE}
        return {**whole, **rest, "verdict": texts((*VERDICTS, None), self._verdict), **self._prices()}

    def _prices(self) -> Columns:
        """One price for each card and number of cards."""
        places = np.arange(len(self._rates)).reshape(*self._shape[:2], 1)
        codes = np.broadcast_to(places, self._shape)
        return {name: texts([said(rate) for rate in self._rates], codes) for name, said in _PRICES.items()}


def _of_price(name: str) -> Callable[[Rate | None], str | None]:
    def said(rate: Rate | None) -> str | None:
        if rate is None or rate.price is None:
            return None
        value = getattr(rate.price, name)
        return None if value is None else str(value) or None

    return said


def _note(rate: Rate | None) -> str | None:
    """What the price is not, or why there is none."""
    if rate is None:
        return None
    return rate.missing or (rate.price.note if rate.price is not None else None) or None


_PRICES: dict[str, Callable[[Rate | None], str | None]] = {
    "price_provider": _of_price("provider"),
    "price_instance": _of_price("instance"),
    "price_region": _of_price("region"),
    "price_kind": _of_price("pricing"),
    "price_date": _of_price("as_of"),
    "price_source": _of_price("source"),
    "price_note": _note,
}
