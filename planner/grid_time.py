"""Step times over arrays of batches and lengths on many cards: the load of a step once, each card's rates put to it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from planner.catalog.rows.gpu import GpuRow
from planner.estimate import paged_out
from planner.grid import OnCards, Tensors, alike
from planner.prepare import prepare
from planner.throughput.constants import constants
from planner.throughput.rates import Rates, UnknownRateError, rates_of, stacked
from planner.throughput.reading import as_run
from planner.throughput.step_time import ask, step_time

Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Times:
    """Of every cell of the plans on each card, one more axis in front; NaN where no rate of the card was seen."""

    step_seconds: Float64
    step_seconds_low: Float64
    step_seconds_high: Float64
    tokens_per_second: Float64
    mfu: Float64


_FIELDS = ("expected_seconds", "low_seconds", "high_seconds", "tokens_per_second", "mfu")


def times(plans: Tensors, cards: OnCards, gpus: Sequence[GpuRow]) -> Times:
    """How long a step takes, for plans over one axis of cells and what they are on these cards."""
    stack, prepared = prepare(as_run(plans.request))
    request, c = stack.request, constants()
    shape = cards.peak_bytes.shape
    found = {name: np.full(shape, np.nan) for name in _FIELDS}
    rates, places = _rates(gpus)
    usable = np.array([gpus[place].usable_bytes for place in places], np.int64)[:, None]
    lengths = plans.lengths - request.virtual_tokens  # as in a request: step_work adds them
    for cells in alike(prepared.model.architecture, plans.batches, lengths) if places else ():
        batch, length = plans.batches[cells], lengths[cells]
        asked = ask(request, prepared, batch, length)
        paged = paged_out(cards.device_bytes[places][:, cells], usable, plans.paged_bytes[cells])
        asked = replace(asked, offloaded_bytes=plans.offloaded_bytes[cells], paged_bytes=paged)
        time, where = step_time(asked, rates, c), np.ix_(np.array(places), np.flatnonzero(cells))
        for name in _FIELDS:
            found[name][where] = getattr(time, name)
    return Times(*(found[name] for name in _FIELDS))


def _rates(gpus: Sequence[GpuRow]) -> tuple[Rates, list[int]]:
    """What the cards give, one a row; and the places of those whose rates are known."""
    known, places = [], []
    for place, gpu in enumerate(gpus):
        try:
            known.append(rates_of(gpu, constants()))
        except UnknownRateError:
            continue
        places.append(place)
    arrays = stacked(known)
    return Rates(*(getattr(arrays, field.name)[:, None] for field in fields(Rates))), places
