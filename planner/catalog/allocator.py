"""Coefficients of the allocator's closed form, by kind of step."""

from collections.abc import Sequence
from functools import cache

from planner.catalog.rows.allocator import ANY, AllocatorRow
from planner.catalog.tables import read_table, write_table
from planner.errors import CatalogError

_TABLE = "allocator.csv"

#: segments, parameters, training, checkpointing, loss: as in AllocatorRow.
Kind = tuple[str, str, str, str, str]


@cache
def find_coefficients(kind: Kind) -> tuple[float, ...]:
    """The coefficients of a kind of step; where its loss has none of its own, of all losses."""
    for wanted in (kind, (*kind[:4], ANY)):
        if wanted in _kinds():
            return read_table(_TABLE).validated(_kinds()[wanted], AllocatorRow).coefficients
    raise CatalogError(f"data/{_TABLE}: no coefficients of {', '.join(kind)}: install the product again")


def list_allocator_rows() -> list[AllocatorRow]:
    """Every kind of step, with how well its closed form agrees with the replays."""
    table = read_table(_TABLE)
    return [table.validated(number, AllocatorRow) for number in range(len(table.rows))]


def write_allocator_rows(rows: Sequence[AllocatorRow]) -> None:
    """Keep a new fit in data/allocator.csv."""
    write_table(_TABLE, rows)


@cache
def _kinds() -> dict[tuple[str, ...], int]:
    return {tuple(row[:5]): number for number, row in enumerate(read_table(_TABLE).rows)}
