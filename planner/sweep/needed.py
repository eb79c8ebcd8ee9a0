"""The fewest cards on which a run fits: by doubling, then by bisection, for all cells and cards at once."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from planner.parallelism import CARDS_A_NODE

Fits = NDArray[np.bool_]

#: Numbers of cards that are looked at: all of one machine, whole machines up to eight, then twice as many each time.
COUNTS = (*range(1, CARDS_A_NODE + 1), *range(2 * CARDS_A_NODE, 8 * CARDS_A_NODE + 1, CARDS_A_NODE))
COUNTS += tuple(CARDS_A_NODE * 2**power for power in range(4, 8))


def fewest(fits: Callable[[int], Fits], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The smallest of COUNTS for which `fits` says yes, element by element; NaN where none does.

    Taken for granted: what fits on some cards fits on more.
    """
    none = len(COUNTS)
    low, high = np.full(shape, -1), np.full(shape, none)
    for place in (COUNTS.index(2**power) for power in range(COUNTS[-1].bit_length())):
        if (high < none).all():
            break
        said = fits(COUNTS[place])
        low = np.where((high == none) & ~said, place, low)
        high = np.where((high == none) & said, place, high)
    while (unsure := (high < none) & (high - low > 1)).any():
        middle = (low + high) // 2
        for place in np.unique(middle[unsure]):
            said, here = fits(COUNTS[place]), unsure & (middle == place)
            high, low = np.where(here & said, place, high), np.where(here & ~said, place, low)
    counts: NDArray[np.float64] = np.append(np.array(COUNTS, np.float64), np.nan)[high]
    return counts
