"""The file of a table, put in place whole: what stood there before stays until the new one is finished."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from planner.errors import RequestError


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place at the end; removed where the writing fails.

    What is no regular file (a pipe, a device), or stands in a folder that takes no new file, is written to directly.
    Raises RequestError, with one line, where it cannot be written.
    """
    try:
        target = path.resolve() if path.is_symlink() else path
        beside = target.with_name(f".{target.name}.{os.getpid()}.part")
        file = _beside(target, beside)
        if file is None:
            with open(target, "wb") as direct:
                yield direct
            return
        yield from _replaced(file, beside, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RequestError(f"-o {str(path)!r}: {reason}: give a file that can be written, with room for it") from None


def _beside(target: Path, beside: Path) -> BinaryIO | None:
    """The new file; None where the target has to be written to directly."""
    if target.exists() and not target.is_file():
        return None
    try:
        return open(beside, "xb")
    except PermissionError:
        if target.is_file() and os.access(target, os.W_OK):
            return None
        raise


def _replaced(file: BinaryIO, beside: Path, target: Path) -> Iterator[BinaryIO]:
    try:
        with file:
            yield file
        if target.exists():
            os.chmod(beside, target.stat().st_mode)
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise
