"""The largest batch and the longest sequence that still fit: found by bisection, not scanned."""

from collections.abc import Callable

from planner.errors import PlannerError
from planner.estimate import compute_memory, verdict
from planner.resolve import load_model
from planner.schema import MAX_BATCH, MAX_LENGTH, PlanRequest


def largest_batch(request: PlanRequest) -> int | None:
    """The largest per_device_train_batch_size whose verdict is `fits`; None where not even one fits, or no gpu."""
    return largest(lambda n: _fits(request, per_device_train_batch_size=n), MAX_BATCH)


def longest_sequence(request: PlanRequest) -> int | None:
    """The longest max_length whose verdict is `fits`, up to what the model has positions for."""
    return largest(lambda n: _fits(request, max_length=n), longest_allowed(request))


def longest_allowed(request: PlanRequest) -> int:
    """Positions of the model: its max_position_embeddings where the config states them."""
    config = load_model(request).architecture.config
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        limit = config.get(name)
        if isinstance(limit, int) and limit > 0:
            return max(min(limit, MAX_LENGTH), 1)
    return MAX_LENGTH


def _fits(request: PlanRequest, **change: int) -> bool:
    changed = request.model_copy(update=change)
    try:
        return verdict(compute_memory(changed)) == "fits"
    except PlannerError:
        return False


def largest(fits: Callable[[int], bool], limit: int) -> int | None:
    """The largest n in [1, limit] with fits(n), for a condition that holds up to some n."""
    if not fits(1):
        return None
    low, high = 1, 2
    while high <= limit and fits(high):
        low, high = high, high * 2
    high = min(high, limit + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
