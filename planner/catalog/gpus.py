"""GPUs: a name as people and clouds say it becomes a row of data/gpus.csv."""

from functools import cache

from planner.catalog.names import closest, gpu_spelling, shown
from planner.catalog.own_gpu import is_own, own_gpu
from planner.catalog.rows.gpu import GpuRow
from planner.catalog.tables import read_table
from planner.errors import UnknownGpuError

_TABLE = "gpus.csv"


def find_gpu(name: str) -> GpuRow:
    """The card of this key or alias, whatever its case, separators and vendor's words; or one that is spelled out.

    Raises UnknownGpuError with one line that names the closest cards.
    """
    if is_own(name):
        return own_gpu(name)
    number = _spellings().get(gpu_spelling(name))
    if number is None:
        raise UnknownGpuError(_unknown(name), "gpu")
    return _row(number)


def list_gpus() -> list[GpuRow]:
    """Every card of the catalogue, in the order of the file: by vendor and generation."""
    return [_row(number) for number in range(len(read_table(_TABLE).rows))]


@cache
def _row(number: int) -> GpuRow:
    return read_table(_TABLE).validated(number, GpuRow)


@cache
def _spellings() -> dict[str, int]:
    table = read_table(_TABLE)
    spellings: dict[str, int] = {}
    columns = (table.column("key"), table.column("name"), table.column("aliases"))
    for number, (key, name, aliases) in enumerate(zip(*columns, strict=True)):
        for known in (key, name, *aliases.split("|")):
            spellings.setdefault(gpu_spelling(known), number)
    spellings.pop("", None)
    return spellings


def _unknown(name: str) -> str:
    all_keys = read_table(_TABLE).column("key")
    near = closest(gpu_spelling(name), {spelling: all_keys[number] for spelling, number in _spellings().items()})
    what = f"closest: {', '.join(near)}" if near else f"known: {', '.join(all_keys)}"
    return f"gpu {shown(name)} is not in the catalogue; {what}"
