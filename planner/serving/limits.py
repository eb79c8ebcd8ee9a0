"""The most that fits on the card: adapters, sequences, and their length, each with the rest as it is."""

from typing import Any

from planner.limits import largest, longest_allowed
from planner.schema import MAX_BATCH
from planner.serving.answer import Serving
from planner.serving.estimate import Held, answer, hold, part_bytes, serving_terms
from planner.serving.request import MAX_ADAPTERS, ServeRequest
from planner.serving.weights import adapter_bytes, trained_as


def serving_with_limits(request: ServeRequest) -> Serving:
    """The estimate, and the most that fits.

    Raises PlannerError where the request cannot be answered.
    """
    held = hold(request)
    found = answer(request, held)
    return found if held.gpu is None else found.model_copy(update=_limits(request, held, found))


def _limits(request: ServeRequest, held: Held, found: Serving) -> dict[str, Any]:
    longest = longest_allowed(trained_as(request, None))
    return {
        "largest_num_adapters": largest_num_adapters(held, found),
        "largest_num_seqs": largest(lambda n: _fits(request, held, max_num_seqs=n), MAX_BATCH),
        "longest_model_len": largest(lambda n: _fits(request, held, max_model_len=n), longest),
    }


def largest_num_adapters(held: Held, found: Serving) -> int | None:
    """Adapters like the largest of the request in what the card has beside base, cache and runtime; None: none."""
    assert found.usable_bytes is not None
    size = max((adapter_bytes(items) for _, items in held.adapters), default=0)
    left = found.usable_bytes - (found.total_bytes - found.adapters_bytes)
    if not size or left < size:
        return None
    return min(left // size, MAX_ADAPTERS)


def _fits(request: ServeRequest, held: Held, **change: int) -> bool:
    assert held.gpu is not None
    terms = serving_terms(request.model_copy(update=change), held)
    return sum(part_bytes(terms).values()) <= held.gpu.usable_bytes
