"""The largest batch or length that really runs on this machine: bisection that starts from the plan's answer.

A size runs if its child ends with an answer within the limit. The first guess is the plan's largest; where it is right,
two runs are enough: that size and the next.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from planner.errors import PlannerError, RequestError
from planner.estimate import estimate
from planner.limits import largest, longest_allowed
from planner.runs.guard import limit_bytes, needed_bytes
from planner.runs.here import Device, request_here
from planner.runs.record import OUT_OF_MEMORY, Record
from planner.runs.start import Listener, Options, find_device, profile_here
from planner.schema import MAX_BATCH, PlanRequest

FIELDS: dict[str, str] = {"batch": "per_device_train_batch_size", "length": "max_length"}

#: Runs before the search gives up on the exact size and answers with what it has.
MAX_RUNS = 12
#: Share of the size to which the answer is exact: one more sequence, or about two percent of a length.
SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Try:
    """One run of the search."""

    size: int
    ran: bool
    status: str
    peak_bytes: int | None
    used_bytes: int | None
    planned_peak_bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """The largest size that ran and the smallest that did not, beside the plan's; None where there is none."""

    what: str
    limit_bytes: int
    planned: int | None
    largest: int | None
    smallest_failing: int | None
    tries: tuple[Try, ...]

    @property
    def ratio(self) -> float | None:
        """The plan's largest over the largest that ran."""
        return self.planned / self.largest if self.planned and self.largest else None

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON."""
        return asdict(self) | {"ratio": self.ratio, "num_runs": len(self.tries)}


def find_batch(
    request: PlanRequest,
    options: Options,
    what: str,
    listener: Listener,
    tried: Callable[[int, Record], None] = lambda *_: None,
) -> Found:
    """Search by real runs; `tried` hears of each.

    Raises PlannerError where a run ends for another reason than memory.
    """
    device = find_device(request)
    limit = limit_bytes(device, options.memory_limit_bytes)
    _, here = request_here(request, device, options.num_layers)
    top = MAX_BATCH if what == "batch" else longest_allowed(here)
    planned = planned_largest(here, what, limit, top)
    tries: list[Try] = []

    def runs(size: int) -> bool:
        record = _run(request, options, what, size, device, listener, limit)
        tried(size, record)
        tries.append(_try(size, record, limit))
        return tries[-1].ran

    low, high = search(runs, planned or 1, top, what)
    return Found(what, limit, planned, low, high, tuple(tries))


def planned_largest(request: PlanRequest, what: str, limit: int, top: int) -> int | None:
    """The largest size whose plan stays within the limit; None where not even 1 does."""

    def fits(size: int) -> bool:
        try:
            return needed_bytes(estimate(request.model_copy(update={FIELDS[what]: size}))) <= limit
        except PlannerError:
            return False

    return largest(fits, top)


def search(runs: Callable[[int], bool], first: int, top: int, what: str) -> tuple[int | None, int | None]:
    """(largest that ran, smallest that did not), from a first guess, in at most MAX_RUNS runs.

    Steps away from the guess grow twofold until the edge lies between, then halve it.
    """
    first = max(1, min(first, top))
    low, high = (first, None) if runs(first) else (None, first)
    step, left = _step(first, what), MAX_RUNS - 1
    while left and (low is None or high is None) and low != top and high != 1:
        size = min(low + step, top) if low is not None else max(1, (high or 1) - step)
        low, high = (size, high) if runs(size) else (low, size)
        step, left = step * 2, left - 1
    while left and low is not None and high is not None and high - low > _step(low, what):
        middle = (low + high) // 2
        low, high = (middle, high) if runs(middle) else (low, middle)
        left -= 1
    return low, high


def _step(size: int, what: str) -> int:
    return max(1, int(size * SHARE)) if what == "length" or size > 1 / SHARE else 1


def _run(
    request: PlanRequest, options: Options, what: str, size: int, device: Device, listener: Listener, limit: int
) -> Record:
    """One short run, started whatever the plan says, and watched."""
    sized = request.model_copy(update={FIELDS[what]: size})
    short = replace(options, steps=1, warmup=0, memory_limit_bytes=limit, force=False, checks=False)
    record = profile_here(sized, short, listener, device, ask_plan=False)
    if record["status"] not in ("done", *OUT_OF_MEMORY):
        raise RequestError(f"{what} {size}: {record['status']}: {record['error']}")
    return record


def _try(size: int, record: Record, limit: int) -> Try:
    """The steps' own high-water mark decides: what the parent sees in between can miss it."""
    on_cpu = record["hardware"]["device"] == "cpu"
    used = record.get("peak_rss_bytes" if on_cpu else "reserved_bytes") or record.get("highest_rss_bytes")
    ran = record["status"] == "done" and (used or 0) <= limit
    status = "memory limit" if record["status"] == "done" and not ran else record["status"]
    return Try(size, ran, status, record.get("peak_bytes"), used, record["plan"]["peak_bytes"])
