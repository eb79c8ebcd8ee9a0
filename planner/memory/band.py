"""How sure an answer is: the spread of measured runs around their predictions, fitted and kept in data/bands/.

A band is five quantiles of log(measured / predicted). Between and beyond them the normal quantiles are interpolated
linearly (a straight line would be a log-normal error), so that any chance can be read off; the prediction itself is
never moved.
"""

from dataclasses import dataclass
from math import erf, exp, log, sqrt

from planner.answer import Certainty
from planner.catalog.bands import find_band
from planner.catalog.rows.band import UNNAMED
from planner.memory.dims import Number, truncated
from planner.schema import PlanRequest

#: Standard normal quantiles at 5, 25, 50, 75 and 95%.
NORMAL_QUANTILES = (-1.6448536269514722, -0.6744897501960817, 0.0, 0.6744897501960817, 1.6448536269514722)


@dataclass(frozen=True, slots=True)
class Band:
    """quantiles: log(measured / predicted) at 5, 25, 50, 75 and 95%; the 90% band lies between the outer two."""

    quantiles: tuple[float, ...]

    def ends(self, num_bytes: Number) -> tuple[Number, Number]:
        """Lower and upper end of the 90% band around a prediction."""
        return truncated(num_bytes * exp(self.quantiles[0])), truncated(num_bytes * exp(self.quantiles[-1]))

    def chance_above(self, predicted: int, limit: int) -> float:
        """Chance that the run needs more than `limit` bytes where `predicted` are predicted."""
        return 0.5 * (1 - erf(self._normal(log(limit / predicted)) / sqrt(2)))

    def _normal(self, log_ratio: float) -> float:
        """The standard normal quantile at which the band has this log(measured / predicted)."""
        knots = self.quantiles
        number = next((i for i, knot in enumerate(knots[1:-1], 1) if log_ratio < knot), len(knots) - 1)
        below, above = knots[number - 1], knots[number]
        start, end = NORMAL_QUANTILES[number - 1], NORMAL_QUANTILES[number]
        if above == below:
            return start if log_ratio < below else end
        return start + (log_ratio - below) / (above - below) * (end - start)


def band_for(request: PlanRequest, certainty: Certainty) -> Band:
    """The band of this kind of request."""
    devices, stack = "several" if request.num_gpus > 1 else "one", request.stack if request.names_stack else UNNAMED
    return Band(find_band(request.device, devices, certainty, stack).quantiles)
