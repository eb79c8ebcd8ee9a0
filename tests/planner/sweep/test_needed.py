"""The fewest cards, found without trying them all."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from planner.sweep.needed import COUNTS, fewest


@given(st.lists(st.integers(1, 1100), min_size=1, max_size=20))
def test_the_fewest_of_the_counts(least: list[int]) -> None:
    tried: list[int] = []

    def fits(count: int) -> np.ndarray:
        tried.append(count)
        return count >= np.array(least)

    expected = [next((count for count in COUNTS if count >= n), None) for n in least]
    found = fewest(fits, (len(least),))
    assert [None if n != n else int(n) for n in found] == expected


def test_what_fits_on_one_card_is_asked_once() -> None:
    tried: list[int] = []

    def fits(count: int) -> np.ndarray:
        tried.append(count)
        return np.ones(3, np.bool_)

    assert fewest(fits, (3,)).tolist() == [1, 1, 1]
    assert tried == [1]
