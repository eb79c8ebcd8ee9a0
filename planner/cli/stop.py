"""Ctrl-C as a stop button: the first press asks the run to end, further ones change nothing, and the record is kept."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from typing import Any


@contextmanager
def stop_button() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C (or SIGTERM) was pressed; only the main thread can listen."""
    pressed = Event()
    if current_thread() is not main_thread():
        yield pressed.is_set
        return

    def press(*_: Any) -> None:
        pressed.set()

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
