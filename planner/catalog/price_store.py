"""A user's own price lists: their contracts, and what was refreshed, in their data folder beside the history.

Each import is a file of its own that nothing overwrites; a refresh replaces its one file whole.
"""

import csv
import io
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatch
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from planner.catalog.rows.price import PriceRow
from planner.errors import CatalogError
from planner.place import data_dir

REFRESHED = "refreshed.csv"
_CONTRACTS = "contracts-*.csv"
_COLUMNS = tuple(PriceRow.model_fields)

#: Name, time of the last change and size of each list: what a kept answer depends on.
Stamp = tuple[tuple[str, int, int], ...]


def folder() -> Path:
    """Where the lists lie; it need not exist."""
    return data_dir() / "prices"


def stamp() -> Stamp:
    """Changes when a list is added, replaced or removed. Asked for with every plan: one look at the folder."""
    try:
        with os.scandir(folder()) as entries:
            lists = [entry for entry in entries if fnmatch(entry.name, _CONTRACTS) or entry.name == REFRESHED]
            states = [(entry.path, entry.stat()) for entry in lists]
    except OSError:
        return ()
    return tuple(sorted((path, state.st_mtime_ns, state.st_size) for path, state in states))


@lru_cache(maxsize=4)
def kept_rows(of: Stamp) -> tuple[PriceRow, ...]:
    """The rows of all lists. An offer that two lists have counts as the one of the later date says.

    Raises CatalogError with one line on the file and row that is broken.
    """
    newest: dict[tuple[object, ...], PriceRow] = {}
    for row in (row for name, _, _ in of for row in read_list(Path(name))):
        before = newest.get(row.offer)
        if before is None or row.valid_on >= before.valid_on:
            newest[row.offer] = row
    return tuple(newest.values())


def read_list(path: Path) -> list[PriceRow]:
    """The rows of one list.

    Raises CatalogError as `kept_rows` does.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows: list[dict[str | None, str | None]] = list(csv.DictReader(handle))
    except (OSError, ValueError, csv.Error) as error:
        raise CatalogError(f"{path} cannot be read ({error}): correct it, or move it away") from None
    return [_row(path, number, cells) for number, cells in enumerate(rows, 2)]


def _row(path: Path, line: int, cells: dict[str | None, str | None]) -> PriceRow:
    if None in cells or None in cells.values():
        raise _broken(path, line, "more or fewer cells than columns")
    try:
        return PriceRow.model_validate({name: text for name, text in cells.items() if text})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        column = ".".join(str(part) for part in first["loc"])
        raise _broken(path, line, f"column {column}: {first['msg']}") from None


def _broken(path: Path, line: int, what: str) -> CatalogError:
    return CatalogError(f"{path}: line {line}: {what}: correct it, or move it away")


def write_list(name: str, rows: Sequence[PriceRow]) -> Path:
    """Keep a list under this name, whole or not at all.

    Raises CatalogError where the folder cannot be written.
    """
    path = folder() / name
    draft = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(_csv(rows), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        raise CatalogError(f"{path} cannot be written ({error.strerror or error}); nothing was kept") from None
    return path


def _csv(rows: Iterable[PriceRow]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        values = (getattr(row, column) for column in _COLUMNS)
        writer.writerow(["" if value is None else str(value) for value in values])
    return text.getvalue()
