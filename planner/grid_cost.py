"""What plans over arrays cost on many cards: the hour of each card's machines, times the hours of every cell."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.cost.cost import train_hours
from planner.cost.rate import Number, Rate
from planner.dataset import DatasetSettings
from planner.grid_time import Float64, Times


@dataclass(frozen=True, slots=True)
class Costs:
    """One axis of cards in front, as Times; NaN where a card has no price, no rate, or no dataset is given."""

    train_hours: Float64
    cost_usd: Float64
    usd_per_million_tokens: Float64


def costs(dataset: DatasetSettings | None, times: Times, rates: Sequence[Rate]) -> Costs:
    """Hours and USD of a dataset; rates: what the cards cost (cost/rate.py rate_of), in the order of the times."""
    speed = times.tokens_per_second
    hours: Float64 = np.full(speed.shape, np.nan) if dataset is None else train_hours(dataset, speed)
    usd = [_known(rate.usd(hour), hour) for rate, hour in zip(rates, hours, strict=True)]
    million = [_known(rate.usd_per_million_tokens(one), one) for rate, one in zip(rates, speed, strict=True)]
    return Costs(hours, np.array(usd), np.array(million))


def _known(usd: Number | None, like: Float64) -> Number:
    return np.full(like.shape, np.nan) if usd is None else usd
