"""Bands: the fitted spread of measured runs around their predictions, by kind of request."""

from collections.abc import Sequence
from functools import cache

from planner.catalog.rows import Row
from planner.catalog.rows.band import UNNAMED, BandFitRow, BandRow, BandRunRow
from planner.catalog.tables import read_table, write_table
from planner.errors import CatalogError

_TABLE, _RUNS, _FITS = "bands/bands.csv", "bands/runs.csv", "bands/fit.csv"
_ANY = "any"


@cache
def find_band(device: str, devices: str, certainty: str, stack: str) -> BandRow:
    """The band of this kind of request; where it was not told apart, of the nearest wider kind.

    The stack is given up first (that none is named last), then the number of devices, then the certainty.
    """
    stack = stack.partition("@")[0]
    chain = ((devices, certainty), (_ANY, certainty), (devices, _ANY), (_ANY, _ANY))
    of_stack = chain if stack == UNNAMED else chain[:1]
    for key in (*((*kind, stack) for kind in of_stack), *((*kind, _ANY) for kind in chain)):
        number = _kinds().get((device, *key))
        if number is not None:
            return read_table(_TABLE).validated(number, BandRow)
    raise CatalogError(f"data/{_TABLE}: no band for device {device!r}: install the product again")


def list_bands() -> list[BandRow]:
    """Every kind of request that has a band of its own."""
    table = read_table(_TABLE)
    return [table.validated(number, BandRow) for number in range(len(table.rows))]


def list_band_runs() -> list[BandRunRow]:
    """The runs that the bands were fitted to."""
    table = read_table(_RUNS)
    return [table.validated(number, BandRunRow) for number in range(len(table.rows))]


def list_band_fits() -> list[BandFitRow]:
    """How the fit of each device came out."""
    table = read_table(_FITS)
    return [table.validated(number, BandFitRow) for number in range(len(table.rows))]


def write_bands(bands: Sequence[BandRow], runs: Sequence[BandRunRow], fits: Sequence[BandFitRow]) -> None:
    """Keep a new fit in data/bands/, with the runs it was fitted to."""
    tables: tuple[tuple[str, Sequence[Row]], ...] = ((_TABLE, bands), (_RUNS, runs), (_FITS, fits))
    for name, rows in tables:
        write_table(name, rows)


@cache
def _kinds() -> dict[tuple[str, ...], int]:
    return {tuple(row[:4]): number for number, row in enumerate(read_table(_TABLE).rows)}
