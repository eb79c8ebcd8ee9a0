"""References: works and the figures they state, from data/references.csv."""

from functools import cache

from planner.catalog.rows.reference import ReferenceRow
from planner.catalog.tables import read_table
from planner.errors import CatalogError

_TABLE = "references.csv"


@cache
def list_references() -> tuple[ReferenceRow, ...]:
    """All rows, in the order of the table."""
    table = read_table(_TABLE)
    return tuple(table.validated(number, ReferenceRow) for number in range(len(table.rows)))


@cache
def find_reference(key: str) -> ReferenceRow:
    """The row with this key.

    Raises CatalogError where there is none.
    """
    for row in list_references():
        if row.key == key:
            return row
    raise CatalogError(f"data/{_TABLE}: no row {key!r}")
