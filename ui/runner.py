"""One run at a time on this machine, in a thread that watches a child; the page asks how far it is.

Nothing here imports streamlit: the server keeps one Runner for all its visitors, since they share the hardware.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any

from planner.child import Progress, check_packages, run_child
from planner.errors import PlannerError
from planner.runs.keep import keep
from planner.runs.record import Record
from planner.runs.start import Listener, Options, profile_here, trace_here
from planner.schema import PlanRequest


@dataclass(slots=True)
class Run:
    """A run as the page sees it; finished once `done` is set."""

    what: str
    progress: Progress | None = None
    record: Record | None = None
    answer: dict[str, Any] | None = None
    error: str | None = None
    said: list[str] = field(default_factory=list)
    stop: Event = field(default_factory=Event)
    done: Event = field(default_factory=Event)
    started: float = field(default_factory=monotonic)

    @property
    def elapsed_seconds(self) -> float:
        """Since it was started."""
        return monotonic() - self.started


class Runner:
    """Starts runs and remembers the last one and the traces that were made beside records."""

    def __init__(self) -> None:
        self.last: Run | None = None
        self.traces: dict[str, dict[str, Any]] = {}
        self._lock = Lock()

    @property
    def running(self) -> bool:
        """Whether the machine is busy with a run of this page."""
        return self.last is not None and not self.last.done.is_set()

    def measure(self, what: str, request: PlanRequest, options: Options) -> bool:
        """Start a measurement; False where another run is under way."""
        return self._start(what, lambda run: self._measure(run, request, options))

    def trace(self, record: Record) -> bool:
        """Start the trace of a record's request; False where another run is under way."""
        return self._start(f"trace of {record['model']}", lambda run: self._trace(run, record))

    def experiment(self, what: str, task: Mapping[str, Any]) -> bool:
        """Start a laboratory's task in the child; False where another run is under way."""
        return self._start(what, lambda run: self._experiment(run, task))

    def stop(self) -> None:
        """Ask the run to end; asking again changes nothing."""
        if self.last is not None:
            self.last.stop.set()

    def _start(self, what: str, work: Callable[[Run], None]) -> bool:
        with self._lock:
            if self.running:
                return False
            self.last = run = Run(what)
        Thread(target=_see_through, args=(run, work), daemon=True).start()
        return True

    def _measure(self, run: Run, request: PlanRequest, options: Options) -> None:
        run.record = profile_here(request, options, _listener(run))
        run.said += keep(run.record)

    @staticmethod
    def _experiment(run: Run, task: Mapping[str, Any]) -> None:
        check_packages("a laboratory")
        listener = _listener(run)
        run.answer = run_child(task, listener.on_progress, should_stop=listener.should_stop)

    def _trace(self, run: Run, record: Record) -> None:
        self.traces[record["run"]] = trace_here(record, _listener(run))


def _listener(run: Run) -> Listener:
    def hear(progress: Progress) -> None:
        run.progress = progress

    return Listener(hear, run.stop.is_set)


def _see_through(run: Run, work: Callable[[Run], None]) -> None:
    """Do the work; whatever happens, the run is done at the end and says why."""
    try:
        work(run)
    except PlannerError as error:
        run.error = error.message
    except Exception as error:
        logging.getLogger(__name__).exception("the run %s failed", run.what)
        run.error = f"unexpected {type(error).__name__}: {error}: a fault of this program, please report it"
    finally:
        run.done.set()
