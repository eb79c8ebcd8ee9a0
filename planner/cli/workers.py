"""Several processes that answer lines, in order; started only where there is enough to do."""

import gc
import os
import re
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context

from planner.cli.answering import Answered, answer_lines

#: Lines that one worker is given at a time.
PIECE_LINES = 25
_MODEL = re.compile(rb'"model(_type)?"\s*:\s*"[^"]*"')


class Workers:
    """Answers lines in as many processes as this one may use processors; in this one where that is one."""

    def __init__(self) -> None:
        self._count = usable_processors()
        self._pool = _start(self._count) if self._count > 1 else None

    def answer(self, lines: Sequence[bytes]) -> Iterator[Answered]:
        """The lines' answers, in order. A worker that dies is replaced by this process."""
        order = sorted(range(len(lines)), key=lambda at: _model(lines[at]))
        places = [order[at : at + PIECE_LINES] for at in range(0, len(order), PIECE_LINES)]
        pieces = [[lines[place] for place in piece] for piece in places]
        futures = [self._submit(piece) for piece in pieces]
        answers: dict[int, Answered] = {}
        for piece, future, found in zip(pieces, futures, places, strict=True):
            answers |= zip(found, _result(future, piece), strict=True)
        return (answers[place] for place in range(len(lines)))

    def _submit(self, piece: Sequence[bytes]) -> "Future[list[Answered]] | None":
        try:
            return self._pool.submit(answer_lines, piece) if self._pool is not None else None
        except BrokenProcessPool:
            self._pool = None
            return None

    def close(self) -> None:
        """End the processes; what they have not begun is dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def _model(line: bytes) -> bytes:
    """What names the model: lines of one model go to one worker as far as possible, which tapes it once."""
    found = _MODEL.search(line)
    return found.group() if found is not None else b""


def usable_processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(count: int) -> ProcessPoolExecutor:
    """Forked where the system can: a fresh interpreter would take longer than a thousand answers."""
    method = "fork" if "fork" in get_all_start_methods() else None
    return ProcessPoolExecutor(count, mp_context=get_context(method), initializer=_begin)


def _begin() -> None:
    """Interruptions are the parent's business; what is there stays, so that no collection walks through it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spare_collections()


def spare_collections() -> None:
    """Fewer passes of the cycle collector, which would walk through every tape that is kept and find nothing."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


def _result(future: "Future[list[Answered]] | None", piece: Sequence[bytes]) -> list[Answered]:
    try:
        return future.result() if future is not None else answer_lines(piece)
    except BrokenProcessPool:
        return answer_lines(piece)
