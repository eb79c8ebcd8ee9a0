"""Reads data/: the only file of the package that knows where it lies."""

import csv
import json
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from planner.errors import CatalogError

DATA_DIR = Path(__file__).resolve().parents[2] / "data"

Cells = dict[str, str]
_R = TypeVar("_R", bound=BaseModel)


@cache
def read_table(name: str) -> tuple[Cells, ...]:
    """The rows of data/NAME as text, once a process."""
    try:
        with (DATA_DIR / name).open(encoding="utf-8", newline="") as handle:
            return tuple(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CatalogError(f"data/{name} cannot be read ({error}): install the product again") from None


def validate_row(row_type: type[_R], cells: Cells, table: str) -> _R:
    """One row as its model; blank cells take the field's default."""
    try:
        return row_type.model_validate({name: text for name, text in cells.items() if text})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        column = ".".join(str(part) for part in first["loc"])
        row = next(iter(cells.values()), "")
        raise CatalogError(f"data/{table}: row {row!r}, column {column}: {first['msg']}") from None


def read_config_file(name: str) -> dict[str, Any]:
    """A config of data/models/configs/."""
    try:
        config: dict[str, Any] = json.loads((DATA_DIR / "models" / "configs" / name).read_bytes())
    except (OSError, ValueError) as error:
        raise CatalogError(f"data/models/configs/{name} cannot be read ({error}): install the product again") from None
    return config
