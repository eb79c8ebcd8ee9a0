"""Fits the constants of the step's time to published speeds.

A search over one constant after the other, up and down by steps that shrink, for the least weighted mean of
|log(predicted / measured)|, each capped: rows that are far off pull no harder. A source's rows together weigh as the
square root of their number, since they share their mistakes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from planner.catalog import find_gpu
from planner.catalog.rows.gpu import GpuRow
from planner.catalog.rows.speed import SpeedRow
from planner.catalog.rows.throughput import ConstantRow
from planner.errors import PlannerError
from planner.evidence.speed_request import speed_request_of
from planner.throughput.constants import Constants
from planner.throughput.rates import rates_of
from planner.throughput.step_time import Asked, step_time
from planner.throughput.timed import asked_of

#: |log(predicted / measured)| above which a row pulls no harder.
CAP = 0.7
#: Factors by which a constant is moved, the finer ones after the coarser.
STEPS = (1.5, 1.2, 1.08, 1.03)
ROUNDS = 6


@dataclass(slots=True)
class Case:
    """One measured speed and the step that is timed against it."""

    row: SpeedRow
    gpu: GpuRow
    asked: Asked
    weight: float = 1.0

    def log_error(self, c: Constants) -> float:
        """log(predicted / measured) tokens a second."""
        time = step_time(self.asked, rates_of(self.gpu, c), c)
        assert self.row.tokens_per_second is not None
        return math.log(time.tokens_per_second / self.row.tokens_per_second)


def cases_of(rows: Iterable[SpeedRow], name_stack: bool = False) -> list[Case]:
    """The speeds that the planner answers, weighed.

    name_stack: those alone that one of our stacks runs, with its name; a request does not know torch.compile.
    """
    found = []
    for row in rows:
        if row.completeness != "full" or (name_stack and (not row.stack or row.compile)):
            continue
        try:
            found.append(Case(row, find_gpu(row.gpu), asked_of(speed_request_of(row, name_stack))))
        except PlannerError:
            continue
    sizes = Counter(case.row.source for case in found)
    for case in found:
        case.weight = 1 / math.sqrt(sizes[case.row.source])
    return found


def loss(cases: Sequence[Case], c: Constants) -> float:
    """The weighted mean of the capped errors."""
    total = sum(case.weight * min(abs(case.log_error(c)), CAP) for case in cases)
    return total / sum(case.weight for case in cases)


def fit_constants(
    cases: Sequence[Case], start: Constants, rows: Sequence[ConstantRow], rounds: int = ROUNDS
) -> Constants:
    """The constants with those whose basis is "fitted" moved to where the loss is least."""
    fitted = [row for row in rows if row.basis == "fitted"]
    best, least = start, loss(cases, start)
    for step in STEPS:
        for _ in range(rounds):
            before = least
            for row in fitted:
                best, least = _moved(cases, best, least, row, step)
            if before - least < 1e-5:
                break
    return best


def _moved(
    cases: Sequence[Case], best: Constants, least: float, row: ConstantRow, step: float
) -> tuple[Constants, float]:
    """One constant up or down while that helps, inside its bounds."""
    for factor in (step, 1 / step):
        while True:
            value = getattr(best, row.name) * factor
            bounded = min(max(value, row.low or 0.0), row.high or value)
            if bounded == getattr(best, row.name):
                break
            tried = replace(best, **{row.name: bounded})
            found = loss(cases, tried)
            if found >= least - 1e-7:
                break
            best, least = tried, found
    return best, least


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How far off the rows of one source are under a fit to the other sources: log(measured / predicted) seconds."""

    source: str
    log_ratios: dict[str, float]

    @property
    def median_error(self) -> float:
        """Median of |predicted / measured - 1|, in tokens a second."""
        return median(abs(math.exp(value) - 1) for value in self.log_ratios.values())


def leave_each_source_out(
    cases: Sequence[Case], named: Sequence[Case], start: Constants, rows: Sequence[ConstantRow]
) -> list[LeftOut]:
    """Each source under constants that were fitted without it, from the start that all share; named: as in the fit."""
    found = []
    for source in sorted({case.row.source for case in cases}):
        rest = [case for case in (*cases, *named) if case.row.source != source]
        c = fit_constants(rest, start, rows, rounds=2)
        own = {case.row.id: case.log_error(c) for case in cases if case.row.source == source}
        found.append(LeftOut(source, own))
    return found
