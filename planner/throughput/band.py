"""How far measured steps lie from their estimates: quantiles fitted to published runs, kept in data/throughput/."""

from math import exp

from planner.catalog.throughput import find_speed_band
from planner.memory.dims import Number
from planner.schema import PlanRequest


def speed_band(request: PlanRequest, seconds: Number) -> tuple[Number, Number]:
    """Lower and upper end of the 90% band on a step's seconds."""
    row = find_speed_band("several" if request.num_gpus > 1 else "one")
    return seconds * exp(row.q05), seconds * exp(row.q95)
