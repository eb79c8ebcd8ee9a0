"""A table to a file, by the file's ending: stretch after stretch, so that a stopped one is a valid file too."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol

from planner.errors import RequestError
from planner.sweep.block import Block
from planner.sweep.columns import Column


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is written besides rows: the columns, and notes (what it is about, text) on assumptions and prices."""

    columns: Sequence[Column]
    notes: Sequence[tuple[str, str]]


class Writer(Protocol):
    """Writes a table's rows as they come; `close` makes the file whole."""

    def write(self, block: Block) -> None: ...

    def close(self) -> None: ...


#: Ending -> module of this package, each with `open_writer`.
FORMATS = {"csv": "lines", "json": "lines", "md": "lines", "html": "lines", "xlsx": "excel", "parquet": "parquet"}
#: Most rows below the header that the format can hold.
MAX_ROWS = {"xlsx": 1_048_576 - 1}


def format_of(path: Path) -> str:
    """The format by the file's ending. Raises RequestError for another one."""
    ending = path.suffix.removeprefix(".").lower()
    if ending not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise RequestError(f"-o {str(path)!r}: the ending says the format: one of {known}", "output")
    return ending


def check_rows(path: Path, num_rows: int) -> None:
    """Refuse what the format cannot hold. Raises RequestError."""
    most = MAX_ROWS.get(format_of(path))
    if most is not None and num_rows > most:
        raise RequestError(
            f"-o {str(path)!r}: {num_rows:,} rows, and a sheet of Excel has {most + 1:,} with its header: "
            "write .parquet or .csv, or name fewer models, cards or lengths",
            "output",
        )


def open_writer(name: str, file: BinaryIO, sheet: Sheet) -> Writer:
    """The writer of a format on an open file."""
    module = import_module(f"planner.sweep.writers.{FORMATS[name]}")
    make: Callable[[str, BinaryIO, Sheet], Writer] = module.open_writer
    return make(name, file, sheet)
