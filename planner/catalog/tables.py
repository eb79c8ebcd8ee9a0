"""Reads data/: the only file of the package that knows where it lies."""

import csv
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from planner.errors import CatalogError

DATA_DIR = Path(__file__).resolve().parents[2] / "data"

_R = TypeVar("_R", bound=BaseModel)


class Table:
    """One file of data/: the names of its columns and its rows as text."""

    def __init__(self, name: str, lines: list[list[str]]) -> None:
        self.name = name
        self.columns, *self.rows = lines

    def column(self, name: str) -> list[str]:
        """The cells of one column."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def validated(self, number: int, row_type: type[_R]) -> _R:
        """One row as its model; blank cells take the field's default."""
        cells = zip(self.columns, self.rows[number], strict=False)
        try:
            return row_type.model_validate({name: text for name, text in cells if text})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            column = ".".join(str(part) for part in first["loc"])
            row = self.rows[number][0]
            raise CatalogError(f"data/{self.name}: row {row!r}, column {column}: {first['msg']}") from None


@cache
def read_table(name: str) -> Table:
    """The table data/NAME, read once a process."""
    try:
        with (DATA_DIR / name).open(encoding="utf-8", newline="") as handle:
            return Table(name, list(csv.reader(handle)))
    except (OSError, ValueError, csv.Error) as error:
        raise CatalogError(f"data/{name} cannot be read ({error}): install the product again") from None


def write_table(name: str, rows: Sequence[BaseModel]) -> None:
    """Write data/NAME anew; what this process has read of it stays as it was read."""
    columns = list(type(rows[0]).model_fields)
    try:
        with (DATA_DIR / name).open("w", encoding="utf-8", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([_cell(getattr(row, column)) for column in columns] for row in rows)
    except OSError as error:
        raise CatalogError(f"data/{name} cannot be written ({error.strerror}): use a checkout of your own") from None


def _cell(value: object) -> str:
    return "" if value is None else str(value)


def read_config_file(name: str) -> dict[str, Any]:
    """A config of data/models/configs/."""
    try:
        config: dict[str, Any] = json.loads((DATA_DIR / "models" / "configs" / name).read_bytes())
    except (OSError, ValueError) as error:
        raise CatalogError(f"data/models/configs/{name} cannot be read ({error}): install the product again") from None
    return config


def read_text_file(name: str) -> str:
    """A plain text of data/."""
    try:
        return (DATA_DIR / name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CatalogError(f"data/{name} cannot be read ({error}): install the product again") from None
