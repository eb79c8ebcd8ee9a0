"""What a search over hyperparameters costs: trials one after the other, or several at once."""

from dataclasses import dataclass

from planner.answer import Plan
from planner.cost.rate import Rate


@dataclass(frozen=True, slots=True)
class Search:
    """The trials of a search.

    trial_share: of the run's hours that one trial takes. sharing_efficiency: the speed of trials that share a card,
    all together, held against one trial alone on it; 1: cards are full with one, so that sharing gains nothing.
    """

    num_trials: int
    trial_share: float = 1.0
    sharing_efficiency: float = 1.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """One way to run the trials: how many at once, on how many times the plan's machines, for how long, for how much.

    usd is None where nothing is priced.
    """

    name: str
    at_once: int
    machines: int
    hours: float
    usd: float | None


@dataclass(frozen=True, slots=True)
class SearchCost:
    """The search by each schedule, and how many trials a card's memory holds."""

    trials_per_card: int
    schedules: tuple[Schedule, ...]

    @property
    def cheapest(self) -> Schedule:
        """The schedule of least cost; the shorter of equals."""
        return min(self.schedules, key=lambda s: (s.usd if s.usd is not None else 0.0, s.hours))


def trials_per_card(plan: Plan) -> int:
    """Trials whose memory one card holds, each with its own weights and context; 0 where one does not fit.

    Each is counted with the upper end of its band; one that is tight counts as one.
    """
    if plan.verdict is None or plan.verdict == "does not fit":
        return 0
    assert plan.usable_bytes is not None
    return max(plan.usable_bytes // plan.resident_band[1], 1)


def search_cost(plan: Plan, rate: Rate, num_gpus: int, hours: float, search: Search) -> SearchCost | str:
    """The cost of a search whose trials each take a share of these hours on num_gpus cards, or why there is none."""
    fitting = trials_per_card(plan)
    if not fitting:
        return f"{plan.method} does not fit, so it has no trials" if plan.verdict else "no card is named"
    trial_hours = hours * search.trial_share
    sharing = min(fitting, search.num_trials) if search.sharing_efficiency > 1 else 1
    together_hours = trial_hours * max(sharing / search.sharing_efficiency, 1.0)
    groups = rate.price.gpus // num_gpus if rate.price is not None else 1
    slots = groups * sharing
    rounds, machines = _ceil(search.num_trials, slots), _ceil(search.num_trials, slots)
    schedules = [_schedule("one after the other", 1, 1, search.num_trials * trial_hours, rate)]
    if slots > 1:
        schedules.append(_schedule("together on one machine", slots, 1, rounds * together_hours, rate))
    if machines > 1:
        schedules.append(_schedule("all at once", search.num_trials, machines, together_hours, rate))
    return SearchCost(fitting, tuple(schedules))


def _schedule(name: str, at_once: int, machines: int, hours: float, rate: Rate) -> Schedule:
    usd = rate.usd(hours)
    return Schedule(name, at_once, machines, hours, None if usd is None else machines * usd)


def _ceil(count: int, size: int) -> int:
    return -(-count // size)
