"""Common claims about fine-tuning, from data/claims.csv."""

from functools import cache

from planner.catalog.rows.claim import ClaimRow
from planner.catalog.tables import read_table
from planner.errors import RequestError

_TABLE = "claims.csv"


@cache
def list_claims() -> tuple[ClaimRow, ...]:
    """All rows, in the order of the table."""
    table = read_table(_TABLE)
    return tuple(table.validated(number, ClaimRow) for number in range(len(table.rows)))


def find_claim(name: str) -> ClaimRow:
    """The claim of this id.

    Raises RequestError where there is none.
    """
    for row in list_claims():
        if row.id == name:
            return row
    ids = [row.id for row in list_claims()]
    raise RequestError(f"claim {name!r} is not known: give one of {ids[0]} to {ids[-1]}", "claim")
