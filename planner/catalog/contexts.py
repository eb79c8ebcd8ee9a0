"""CUDA contexts as posted, from data/contexts.csv."""

from functools import cache
from statistics import median

from planner.catalog.rows.context import ContextRow
from planner.catalog.tables import read_table

_TABLE = "contexts.csv"


@cache
def context_mib(compute_capability: float) -> float | None:
    """The median of what was posted of cards of this compute capability; None where nothing was."""
    capabilities = read_table(_TABLE).column("compute_capability")
    found = [i for i, text in enumerate(capabilities) if float(text) == compute_capability]
    return median(_row(i).context_mib for i in found) if found else None


def list_contexts() -> list[ContextRow]:
    """Every figure."""
    return [_row(number) for number in range(len(read_table(_TABLE).rows))]


def _row(number: int) -> ContextRow:
    return read_table(_TABLE).validated(number, ContextRow)
