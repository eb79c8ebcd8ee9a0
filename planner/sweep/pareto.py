"""Which options are worth choosing: those that no other one beats in time and in money."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def front(hours: Numbers, usd: Numbers) -> NDArray[np.intp]:
    """Places of the options for which no other is at least as fast and as cheap, the fastest first; NaN is no option.

    Of equal options the first counts.
    """
    places = np.flatnonzero(np.isfinite(hours) & np.isfinite(usd))
    places = places[np.lexsort((usd[places], hours[places]))]
    cheapest_before = np.minimum.accumulate(np.append(np.inf, usd[places]))[:-1]
    found: NDArray[np.intp] = places[usd[places] < cheapest_before]
    return found


def beaten_by(place: int, hours: Numbers, usd: Numbers, on_front: NDArray[np.intp]) -> int:
    """The fastest option of the front that is at least as fast and as cheap as this one."""
    better = (hours[on_front] <= hours[place]) & (usd[on_front] <= usd[place])
    return int(on_front[np.argmax(better)])
