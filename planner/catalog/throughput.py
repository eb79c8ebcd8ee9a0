"""What data/throughput/ holds: constants of the step's time, bands around it, and the runs behind them."""

from collections.abc import Sequence
from functools import cache

from planner.catalog.rows import Row
from planner.catalog.rows.throughput import ConstantRow, SpeedBandRow, SpeedFitRow, SpeedRunRow
from planner.catalog.tables import read_table, write_table
from planner.errors import CatalogError

_CONSTANTS, _BANDS = "throughput/constants.csv", "throughput/bands.csv"
_RUNS, _FIT = "throughput/runs.csv", "throughput/fit.csv"


@cache
def list_constants() -> tuple[ConstantRow, ...]:
    """Every constant of the step's time, with its basis and source."""
    table = read_table(_CONSTANTS)
    return tuple(table.validated(number, ConstantRow) for number in range(len(table.rows)))


@cache
def find_speed_band(devices: str) -> SpeedBandRow:
    """The band of steps on one device or several."""
    known = read_table(_BANDS).column("devices")
    if devices not in known:
        raise CatalogError(f"data/{_BANDS}: no band for {devices!r} devices: install the product again")
    return read_table(_BANDS).validated(known.index(devices), SpeedBandRow)


def list_speed_bands() -> list[SpeedBandRow]:
    """Every kind of request that has a band of its own."""
    table = read_table(_BANDS)
    return [table.validated(number, SpeedBandRow) for number in range(len(table.rows))]


def list_speed_runs() -> list[SpeedRunRow]:
    """The runs that the constants and the bands were fitted to."""
    table = read_table(_RUNS)
    return [table.validated(number, SpeedRunRow) for number in range(len(table.rows))]


def speed_fit() -> SpeedFitRow:
    """How the fit came out."""
    return read_table(_FIT).validated(0, SpeedFitRow)


def write_speed_fit(
    constants: Sequence[ConstantRow], bands: Sequence[SpeedBandRow], runs: Sequence[SpeedRunRow], fit: SpeedFitRow
) -> None:
    """Keep a new fit in data/throughput/, with the runs it was fitted to."""
    tables: tuple[tuple[str, Sequence[Row]], ...] = (
        (_CONSTANTS, constants),
        (_BANDS, bands),
        (_RUNS, runs),
        (_FIT, (fit,)),
    )
    for name, rows in tables:
        write_table(name, rows)
