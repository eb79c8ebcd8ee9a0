"""A table's blocks into its file: with a word on how far it is, and an end whenever one is asked for."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from planner.sweep.block import Block
from planner.sweep.target import replacing
from planner.sweep.writers import Sheet, Writer, check_rows, format_of, open_writer

#: Told the rows that are written, after each block.
Progress = Callable[[int], None]


@dataclass(slots=True)
class Written:
    """How many rows were written, how many of them fit or are tight, and whether it was stopped before the end."""

    rows: int = 0
    fitting: int = 0
    stopped: bool = False


def write_file(
    path: Path, blocks: Iterable[Block], sheet: Sheet, num_rows: int, stop: Callable[[], bool], show: Progress
) -> Written:
    """All blocks into a file of the format that its ending names; `num_rows` is how many rows they have in all.

    Where `stop` says so it ends after the block at hand, with a file that is valid and has the rows so far.
    Raises RequestError for an ending, a length or a place that cannot be.
    """
    check_rows(path, num_rows)
    with replacing(path) as file:
        return write_to(file, format_of(path), blocks, sheet, stop, show)


def write_to(
    file: BinaryIO, name: str, blocks: Iterable[Block], sheet: Sheet, stop: Callable[[], bool], show: Progress
) -> Written:
    """The same into an open file."""
    written, writer = Written(), open_writer(name, file, sheet)
    try:
        _write(writer, blocks, written, stop, show)
    except BaseException:
        with suppress(Exception):  # so that it does not try again, and complain, when it is forgotten
            writer.close()
        raise
    writer.close()
    return written


def _write(writer: Writer, blocks: Iterable[Block], written: Written, stop: Callable[[], bool], show: Progress) -> None:
    for block in blocks:
        writer.write(block)
        written.rows += block.num_rows
        written.fitting += fitting(block)
        show(written.rows)
        if stop():
            written.stopped = True
            return


def fitting(block: Block) -> int:
    """Rows whose verdict is fits or tight."""
    verdicts = block.texts("verdict")
    good = [number for number, name in enumerate(verdicts.names) if name in ("fits", "tight")]
    return sum(int((verdicts.codes == number).sum()) for number in good)
