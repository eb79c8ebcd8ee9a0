"""Terms of owned and interruptible hardware where a request leaves them open, from data/ownership.csv."""

from functools import cache

from planner.catalog.rows.ownership import OwnershipRow
from planner.catalog.tables import read_table
from planner.errors import CatalogError

_TABLE = "ownership.csv"


@cache
def ownership_default(name: str) -> OwnershipRow:
    """The row of one term.

    Raises CatalogError where the table lacks it.
    """
    table = read_table(_TABLE)
    names = table.column("name")
    if name not in names:
        raise CatalogError(f"data/{_TABLE}: no row {name!r}: install the product again")
    return table.validated(names.index(name), OwnershipRow)
