"""The same search over hyperparameters by each method: which trials fit, for how long, for how much."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from planner.advise import apply_changes
from planner.answer import Plan
from planner.catalog import find_gpu
from planner.cost.hpo import Search, SearchCost, search_cost
from planner.cost.rate import rate_of
from planner.errors import PlannerError
from planner.schema import METHODS, PlanRequest

PlanOf = Callable[[PlanRequest], Plan]


@dataclass(frozen=True, slots=True)
class MethodSearch:
    """A search by one method: its plan, and what it comes to, or why it cannot be.

    plan None: the method was refused.
    """

    method: str
    found: SearchCost | str
    plan: Plan | None = None


def searches(
    request: PlanRequest, search: Search, plan_of: PlanOf, methods: Iterable[str] = METHODS
) -> list[MethodSearch]:
    """The search by each of these methods, on the request's cards."""
    return [_by_method(request, method, search, plan_of) for method in methods]


def cheapest_search(found: Iterable[MethodSearch]) -> MethodSearch | None:
    """The method whose cheapest schedule costs least (takes least time where nothing is priced); None: none fits."""
    possible = [(one, one.found.cheapest) for one in found if isinstance(one.found, SearchCost)]
    if not possible:
        return None
    return min(possible, key=lambda pair: (pair[1].usd if pair[1].usd is not None else 0.0, pair[1].hours))[0]


def _by_method(request: PlanRequest, method: str, search: Search, plan_of: PlanOf) -> MethodSearch:
    assert request.gpu is not None
    try:
        asked = apply_changes(request, {"method": method})
        plan = plan_of(asked)
    except PlannerError as error:
        return MethodSearch(method, error.message)
    if plan.train_hours is None:
        return MethodSearch(method, "no hours are known", plan)
    rate = rate_of(asked, find_gpu(request.gpu))
    return MethodSearch(method, search_cost(plan, rate, request.num_gpus, plan.train_hours, search), plan)
