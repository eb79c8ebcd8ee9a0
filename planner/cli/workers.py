"""Several processes that answer lines, in order; started only where there is enough to do."""

import gc
import os
import re
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from multiprocessing import get_all_start_methods, get_context
from multiprocessing.connection import Connection, wait
from typing import Any

from planner.catalog import find_model
from planner.cli.answering import Answered, answer_lines
from planner.errors import PlannerError
from planner.memory.layers import FAMILIES

#: Lines that one worker is given at a time.
PIECE_LINES = 16
_MODEL = re.compile(rb'"model(_type)?"\s*:\s*"([^"]*)"')

#: Places of lines among all.
Places = Sequence[int]


class Workers:
    """Answers lines in as many processes as this one may use processors; in this one where that is one."""

    def __init__(self) -> None:
        count = usable_processors()
        self._workers = [_Worker(number) for number in range(count)] if count > 1 else []
        self._count = count

    def answer(self, lines: Sequence[bytes]) -> Iterator[Answered]:
        """The lines' answers, in order. A worker that dies is replaced by this process."""
        order = sorted(range(len(lines)), key=lambda at: _kind(lines[at]))
        shares = _Shares([order[at : at + PIECE_LINES] for at in range(0, len(order), PIECE_LINES)], self._count)
        answers: dict[int, Answered] = {}
        for places, found in self._answered(shares, lines):
            answers |= zip(places, found, strict=True)
        return (answers[place] for place in range(len(lines)))

    def _answered(self, shares: "_Shares", lines: Sequence[bytes]) -> Iterator[tuple[Places, list[Answered]]]:
        """Pieces as they are done, of all workers; then what is left where all have died, or none was started."""
        at_work: dict[Any, tuple[_Worker, Places]] = {}
        idle = list(self._workers)
        while idle or at_work:
            for worker in idle:
                if (places := shares.next(worker.number)) is not None:
                    worker.give([lines[place] for place in places])
                    at_work[worker.pipe] = worker, places
            idle = []
            for pipe in wait(list(at_work)) if at_work else ():
                worker, places = at_work.pop(pipe)
                found = worker.taken()
                if found is None:
                    self._workers.remove(worker)
                    found = answer_lines([lines[place] for place in places])
                else:
                    idle.append(worker)
                yield places, found
        while (places := shares.next(0)) is not None:
            yield places, answer_lines([lines[place] for place in places])

    def close(self) -> None:
        """End the processes; what they are at is dropped."""
        for worker in self._workers:
            worker.end()


class _Worker:
    """A process that answers one piece at a time, and the end of its pipe that is here."""

    def __init__(self, number: int):
        # forked where the system can: a fresh interpreter would take longer than a thousand answers
        context: Any = get_context("fork" if "fork" in get_all_start_methods() else None)
        self.number = number
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def give(self, piece: Sequence[bytes]) -> None:
        """Lines to answer; one that has died shows it when its answers are taken."""
        with suppress(OSError):
            self.pipe.send(piece)

    def taken(self) -> list[Answered] | None:
        """The answers to what it was given; None where it has died."""
        try:
            answers: list[Answered] = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return answers

    def end(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection) -> None:
    """Answer what comes until nothing can come any more; interruptions are the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spare_collections()
    with suppress(EOFError, OSError):
        while True:
            pipe.send(answer_lines(pipe.recv()))


class _Shares:
    """Pieces in order, a share for each process, so that lines alike are taped by one; who is through helps another."""

    def __init__(self, pieces: Sequence[Places], count: int):
        size = -(-len(pieces) // count)
        self._shares = [deque(pieces[number * size : (number + 1) * size]) for number in range(count)]

    def next(self, number: int) -> Places | None:
        """The next piece of a process: of its own share, else the last of the longest one."""
        if self._shares[number]:
            return self._shares[number].popleft()
        longest = max(self._shares, key=len)
        return longest.pop() if longest else None


def _kind(line: bytes) -> tuple[str, bytes]:
    """What lines alike have in common: the layer code that tapes them, and what names the model."""
    found = _MODEL.search(line)
    return ("", b"") if found is None else (_layer_code(found[2], found[1] is not None), found[2])


@lru_cache(maxsize=4096)
def _layer_code(name: bytes, is_model_type: bool) -> str:
    text = name.decode(errors="replace")
    try:
        model_type = text if is_model_type else find_model(text).model_type
    except PlannerError:
        return ""
    return FAMILIES.get(model_type, model_type)


def usable_processors() -> int:
    """Processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spare_collections() -> None:
    """Fewer passes of the cycle collector, which would walk through every tape that is kept and find nothing."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)
