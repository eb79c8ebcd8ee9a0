"""Invariants of data/allocator.csv: every kind of step has coefficients, and how good they are is said."""

from itertools import product

from planner.catalog.allocator import Kind, find_coefficients, list_allocator_rows
from planner.catalog.rows.allocator import AllocatorRow

SEGMENTS, PARAMETERS, TRAINING = ("fixed", "expandable"), ("whole", "flat"), ("full", "adapters")
KINDS = list(product(SEGMENTS, PARAMETERS, TRAINING, ("none", "non_reentrant", "reentrant")))


def kind_of(row: AllocatorRow) -> Kind:
    return row.segments, row.parameters, row.training, row.checkpointing, row.loss


def test_every_kind_has_a_row_for_all_losses() -> None:
    assert {kind_of(row)[:4] for row in list_allocator_rows() if row.loss == "any"} == set(KINDS)


def test_kinds_are_unique_and_found() -> None:
    rows = list_allocator_rows()
    kinds = [kind_of(row) for row in rows]
    assert len(set(kinds)) == len(kinds)
    assert [find_coefficients(kind) for kind in kinds] == [row.coefficients for row in rows]


def test_a_loss_without_its_own_takes_those_of_all() -> None:
    own = {kind_of(row) for row in list_allocator_rows()}
    kind = ("fixed", "flat", "full", "none", "full_4_46")
    assert kind not in own
    assert find_coefficients(kind) == find_coefficients((*kind[:4], "any"))


def test_the_closed_form_is_near_the_replays() -> None:
    for row in list_allocator_rows():
        assert row.replays >= 25, row
        assert row.median_error < 0.06 and row.p90_error < 0.18, row
