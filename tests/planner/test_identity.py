"""Keys by identity."""

from functools import lru_cache

from planner.identity import Same


def test_the_same_object_is_one_key_and_an_equal_one_another() -> None:
    one, alike = [1], [1]
    asked = []

    @lru_cache(maxsize=2)
    def total(its: Same[list[int]]) -> int:
        asked.append(its.of)
        return sum(its.of)

    assert [total(Same(one)), total(Same(one)), total(Same(alike))] == [1, 1, 1]
    assert len(asked) == 2
    assert asked[0] is one
    assert asked[1] is alike
