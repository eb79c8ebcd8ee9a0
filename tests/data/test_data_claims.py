"""Invariants of data/claims.csv."""

import pytest

from planner.catalog.claims import list_claims
from planner.catalog.rows.claim import ClaimRow

ROWS = list_claims()


def test_there_are_forty_in_order() -> None:
    assert [row.id for row in ROWS] == [f"c{number:02}" for number in range(1, 41)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_claim_says_what_it_states(row: ClaimRow) -> None:
    assert not row.claim.endswith(".")
    assert (row.low is None) >= (row.high is None) or row.low is not None
    assert row.low is None or row.high is None or row.low <= row.high
    assert all(low <= high for _, (low, high) in row.parts)
    assert len(dict(row.parts)) == len(row.parts)


@pytest.mark.parametrize("row", [row for row in ROWS if row.parts], ids=lambda row: row.id)
def test_figures_of_parts_stand_in_the_claim(row: ClaimRow) -> None:
    """In days where it says weeks, and as words where it names departments."""
    for name, (low, _) in row.parts:
        if name not in ("days", "departments", "below", "clients"):
            assert f"{low:g}" in row.claim, (name, low)
