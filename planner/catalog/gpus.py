"""GPUs: a name as people and clouds say it becomes a row of data/gpus.csv."""

from functools import cache

from planner.catalog.names import closest, gpu_spelling, shown
from planner.catalog.rows import GpuRow
from planner.catalog.tables import read_table, validate_row
from planner.errors import UnknownGpuError

_TABLE = "gpus.csv"


def find_gpu(name: str) -> GpuRow:
    """The card of this key or alias, whatever its case, separators and vendor's words.

    Raises UnknownGpuError with one line that names the closest cards.
    """
    number = _spellings().get(gpu_spelling(name))
    if number is None:
        raise UnknownGpuError(_unknown(name), "gpu")
    return _row(number)


def list_gpus() -> list[GpuRow]:
    """Every card of the catalogue, in the order of the file: by vendor and generation."""
    return [_row(number) for number in range(len(read_table(_TABLE)))]


@cache
def _row(number: int) -> GpuRow:
    return validate_row(GpuRow, read_table(_TABLE)[number], _TABLE)


@cache
def _spellings() -> dict[str, int]:
    spellings: dict[str, int] = {}
    for number, cells in enumerate(read_table(_TABLE)):
        for name in (cells["key"], cells["name"], *cells["aliases"].split("|")):
            if name:
                spellings.setdefault(gpu_spelling(name), number)
    return spellings


def _unknown(name: str) -> str:
    rows = read_table(_TABLE)
    keys = closest(gpu_spelling(name), {spelling: rows[number]["key"] for spelling, number in _spellings().items()})
    what = f"closest: {', '.join(keys)}" if keys else f"known: {', '.join(row['key'] for row in rows)}"
    return f"gpu {shown(name)} is not in the catalogue; {what}"
