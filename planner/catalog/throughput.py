"""What data/throughput/ holds: the constants of the step's time."""

from functools import cache

from planner.catalog.rows.throughput import ConstantRow
from planner.catalog.tables import read_table

_CONSTANTS = "throughput/constants.csv"


@cache
def list_constants() -> tuple[ConstantRow, ...]:
    """Every constant of the step's time, with its basis and source."""
    table = read_table(_CONSTANTS)
    return tuple(table.validated(number, ConstantRow) for number in range(len(table.rows)))
