"""How far off the planner is: errors by group, verdicts against what ran, chances against what ran out."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal, Protocol

from planner.evidence.score import Evidence

GroupName = Literal["metric", "stack", "method", "model", "gpus", "source", "framework"]

#: By what the errors can be told apart.
GROUPS: dict[GroupName, Callable[[Evidence], str]] = {
    "metric": lambda one: one.metric,
    "stack": lambda one: one.stack or "none named",
    "method": lambda one: one.method,
    "model": lambda one: one.model,
    "gpus": lambda one: "one" if one.num_gpus == 1 else "several",
    "source": lambda one: one.source,
    "framework": lambda one: one.framework,
}

#: A prediction this far below what was measured is somebody's out-of-memory.
UNDER = -0.05


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors of a group: (predicted - measured) / measured. Shares and errors are None where nothing was answered."""

    group: str
    figures: int
    answered: int
    median_error: float | None
    p90_error: float | None
    bias: float | None
    under_share: float | None
    in_band_share: float | None


class Scored(Protocol):
    """What errors are summed up of."""

    @property
    def ran_out(self) -> bool: ...
    @property
    def error(self) -> float | None: ...
    @property
    def in_band(self) -> bool | None: ...


def errors_of(group: str, found: Sequence[Scored]) -> Errors:
    """Sizes of the errors of these figures, their sign, and the share inside the band."""
    measured = [one for one in found if not one.ran_out]
    errors = [one.error for one in measured if one.error is not None]
    inside = [one.in_band for one in measured if one.in_band is not None]
    if not errors:
        return Errors(group, len(measured), 0, None, None, None, None, None)
    sizes = sorted(map(abs, errors))
    return Errors(
        group=group,
        figures=len(measured),
        answered=len(errors),
        median_error=median(sizes),
        p90_error=ninetieth(sizes),
        bias=median(errors),
        under_share=sum(error < UNDER for error in errors) / len(errors),
        in_band_share=sum(inside) / len(inside),
    )


def ninetieth(ordered: Sequence[float]) -> float:
    """The 90th percentile, linear between the figures beside it."""
    place = 0.9 * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def errors_by(name: GroupName, found: Sequence[Evidence]) -> list[Errors]:
    """The errors of each group, the largest group first."""
    groups: dict[str, list[Evidence]] = {}
    for one in found:
        if not one.ran_out:
            groups.setdefault(GROUPS[name](one), []).append(one)
    return [errors_of(group, groups[group]) for group in sorted(groups, key=lambda group: (-len(groups[group]), group))]


def worst_first(found: Iterable[Evidence]) -> list[Evidence]:
    """All figures: the largest errors first, then what ran out of memory, then the refused."""
    return sorted(found, key=lambda one: (not one.answered, one.error is None, -_distance(one), one.id))


def _distance(one: Evidence) -> float:
    """A half and a double are equally far."""
    return abs(one.log_ratio) if one.log_ratio is not None else math.inf


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts on the cards that runs ran on, or failed on."""

    ran: dict[str, int]
    ran_out: dict[str, int]

    @property
    def false_alarm_share(self) -> float | None:
        """Of the runs that ran: called "does not fit"."""
        return _share(self.ran, ("does not fit",))

    @property
    def caught_share(self) -> float | None:
        """Of the runs that ran out of memory: called "does not fit" or "tight"."""
        return _share(self.ran_out, ("does not fit", "tight"))


def verdicts_of(found: Iterable[Evidence]) -> Verdicts:
    """Verdicts counted: one for each run (a run gives several figures) whose card is known."""
    counted: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for one in one_a_run(found):
        if one.verdict is not None:
            side = counted[one.ran_out]
            side[one.verdict] = side.get(one.verdict, 0) + 1
    return Verdicts(*counted)


def one_a_run(found: Iterable[Evidence]) -> list[Evidence]:
    """One figure of each run: several figures of one run share the planner's answer."""
    return list({one.run: one for one in found}.values())


def _share(counts: dict[str, int], verdicts: Sequence[str]) -> float | None:
    total = sum(counts.values())
    return sum(counts.get(verdict, 0) for verdict in verdicts) / total if total else None


#: Bounds of the chances that are told apart.
CHANCES = (0.0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Reliability:
    """Runs that were given a chance between two bounds of running out of memory, and how many did."""

    low: float
    high: float
    runs: int
    mean_chance: float | None
    ran_out: int


def reliability_of(found: Iterable[Evidence]) -> list[Reliability]:
    """The reliability table of oom_probability over runs whose card is known."""
    known = [(one.oom_probability, one.ran_out) for one in one_a_run(found) if one.oom_probability is not None]
    table = []
    for low, high in pairwise(CHANCES):
        inside = [(p, out) for p, out in known if low <= p < high or (p == high == CHANCES[-1])]
        chances = [p for p, _ in inside]
        mean = sum(chances) / len(chances) if chances else None
        table.append(Reliability(low, high, len(inside), mean, sum(out for _, out in inside)))
    return table
