"""How far measured speeds lie from their estimates."""

from math import exp

from planner.memory.dims import Number
from planner.schema import PlanRequest


def speed_band(request: PlanRequest, seconds: Number) -> tuple[Number, Number]:
    """Lower and upper end of the 90% band on a step's seconds."""
    return seconds * exp(-0.3), seconds * exp(0.3)
