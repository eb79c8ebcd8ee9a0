"""Invariants of data/allocator.csv: every kind of step has coefficients, and how good they are is said."""

from itertools import product

from planner.catalog.allocator import find_coefficients, list_allocator_rows

KINDS = list(product(("fixed", "expandable"), ("full", "adapters"), ("none", "non_reentrant", "reentrant")))


def test_every_kind_has_a_row_for_all_losses() -> None:
    rows = {(row.segments, row.training, row.checkpointing) for row in list_allocator_rows() if row.loss == "any"}
    assert rows == set(KINDS)


def test_kinds_are_unique_and_found() -> None:
    rows = list_allocator_rows()
    kinds = [(row.segments, row.training, row.checkpointing, row.loss) for row in rows]
    assert len(set(kinds)) == len(kinds)
    assert [find_coefficients(kind) for kind in kinds] == [row.coefficients for row in rows]


def test_a_loss_without_its_own_takes_those_of_all() -> None:
    own = {(row.segments, row.training, row.checkpointing, row.loss) for row in list_allocator_rows()}
    kind = ("fixed", "full", "reentrant", "full_4_46")
    assert kind not in own
    assert find_coefficients(kind) == find_coefficients((*kind[:3], "any"))


def test_the_closed_form_is_near_the_replays() -> None:
    for row in list_allocator_rows():
        assert row.replays >= 60, row
        assert row.median_error < 0.05 and row.p90_error < 0.15, row
