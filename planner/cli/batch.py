"""``plan --batch``: one answer a line for each request a line, in order, as they come."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, BinaryIO

from planner.cli.answering import Answered, answer_lines
from planner.cli.boundary import FITS
from planner.cli.files import open_input
from planner.cli.output import note

if TYPE_CHECKING:
    from planner.cli.workers import Workers

_CHUNK_BYTES = 2**18
#: Lines that arrive at once from which on several processes answer.
MANY_LINES = 100


def run_batch(path: str) -> int:
    """Answer every line; a line that cannot be answered gives an error line, and the rest goes on."""
    lines = refused = 0
    with open_input(path, "--batch") as handle, ExitStack() as stack:
        _widen(handle)
        workers = None
        for chunk in _chunks(handle):
            if workers is None and len(chunk) >= MANY_LINES:
                workers = _workers(stack)
            answers = answer_lines(chunk) if workers is None else workers.answer(chunk)
            answered, errors = _write(answers)
            lines, refused = lines + answered, refused + errors
    if refused:
        note(f"{refused:,} of {lines:,} requests were refused: their lines have `error`")
    return FITS


def _workers(stack: ExitStack) -> "Workers":
    from planner.cli.workers import Workers, spare_collections

    spare_collections()
    workers = Workers()
    stack.callback(workers.close)
    return workers


def _write(answers: Iterable[Answered]) -> tuple[int, int]:
    """Write answers as they come; how many there were, and how many of them were refusals."""
    lines = refused = 0
    for text, is_plan in answers:
        sys.stdout.write(f"{text}\n")
        lines, refused = lines + 1, refused + (not is_plan)
    sys.stdout.flush()
    return lines, refused


def _widen(handle: BinaryIO) -> None:
    """Let a pipe hold as much as is read at once: it holds a quarter, and at the ends of chunks workers are idle."""
    with suppress(ImportError, OSError, ValueError):  # Linux alone can, and only a pipe
        from fcntl import F_SETPIPE_SZ, fcntl

        fcntl(handle.fileno(), F_SETPIPE_SZ, _CHUNK_BYTES)


def _chunks(handle: BinaryIO) -> Iterator[list[bytes]]:
    """Whole lines as far as they have arrived, so that their answers leave before more is waited for."""
    read = getattr(handle, "read1", handle.read)
    rest: list[bytes] = []
    while content := read(_CHUNK_BYTES):
        whole, newline, tail = content.rpartition(b"\n")
        if newline:
            yield _lines(b"".join((*rest, whole)))
            rest = [tail]
        else:
            rest.append(content)
    yield _lines(b"".join(rest))


def _lines(content: bytes) -> list[bytes]:
    return [line for line in content.split(b"\n") if line.strip()]
