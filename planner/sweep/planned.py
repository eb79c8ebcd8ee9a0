"""One model by one method on a number of cards, planned over many lengths and batches at once."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.architecture.blocks import Architecture
from planner.errors import PlannerError
from planner.grid import Int64, Tensors, tensors
from planner.parallelism import broken_rule
from planner.prepare import prepare
from planner.resolve import check
from planner.schema import PlanRequest
from planner.sweep.settle import Fields, settled

Codes = NDArray[np.intp]

#: Cells evaluated at once: what their temporaries take stays in a processor's cache.
_CELLS = 2**14


@dataclass(frozen=True, slots=True)
class Cells:
    """Lengths and batches of some rows, pair by pair."""

    lengths: Int64
    batches: Int64

    def __len__(self) -> int:
        return len(self.lengths)

    def taken(self, chosen: NDArray[np.bool_] | slice) -> "Cells":
        """Some of them."""
        return Cells(self.lengths[chosen], self.batches[chosen])


@dataclass(frozen=True, slots=True)
class Planned:
    """plans: over the allowed cells; None where none is. reasons: why the others are refused; codes: which of them."""

    request: PlanRequest | None
    plans: Tensors | None
    allowed: NDArray[np.bool_]
    reasons: tuple[str | None, ...]
    codes: NDArray[np.intp]


def plan_cells(base: Fields, model: str, method: str, count: int, cells: Cells) -> Planned:
    """Plans of all cells; refusals become reasons."""
    try:
        request = settled(base, model, method, count)
        prepared = prepare(request)[1]
    except PlannerError as error:
        return _refused(cells, error.message)
    reasons, codes = _reasons(request, prepared.model.architecture, cells)
    allowed = codes == 0
    if not allowed.any():
        return Planned(request, None, allowed, reasons, codes)
    return Planned(request, _tensors(request, cells.taken(allowed)), allowed, reasons, codes)


def faulty(cells: Cells, error: Exception) -> Planned:
    """Cells that the program fails at, with the line that says so."""
    return _refused(cells, f"unexpected {type(error).__name__}: {error}: a fault of this program, please report it")


def _refused(cells: Cells, reason: str) -> Planned:
    codes = np.ones(len(cells), np.intp)
    return Planned(None, None, codes == 0, (None, reason), codes)


def _reasons(request: PlanRequest, architecture: Architecture, cells: Cells) -> tuple[tuple[str | None, ...], Codes]:
    """Why cells are refused: all rules about a length are upper limits, but for those of divided sequences."""
    lengths, places = np.unique(cells.lengths, return_inverse=True)
    if request.parallelism.context_parallel_size == 1 and _reason(request, architecture, lengths[-1]) is None:
        return (None,), np.zeros(len(cells), np.intp)
    found = [_reason(request, architecture, length) for length in lengths]
    reasons = (None, *dict.fromkeys(reason for reason in found if reason is not None))
    codes = np.array([reasons.index(reason) for reason in found], np.intp)
    return reasons, codes[places.reshape(-1)]


def _reason(request: PlanRequest, architecture: Architecture, length: np.int64) -> str | None:
    changed = request.model_copy(update={"max_length": int(length)})
    broken = broken_rule(changed)
    if broken is not None:
        return broken
    try:
        check(changed, architecture)
    except PlannerError as error:
        return error.message
    return None


def _tensors(request: PlanRequest, cells: Cells) -> Tensors:
    """Evaluated in stretches, so that temporaries stay small."""
    stretches = [cells.taken(slice(start, start + _CELLS)) for start in range(0, len(cells), _CELLS)]
    parts = [tensors(request, part.batches, part.lengths) for part in stretches]
    if len(parts) == 1:
        return parts[0]
    arrays = [field.name for field in fields(Tensors) if isinstance(getattr(parts[0], field.name), np.ndarray)]
    joined: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in arrays}
    return replace(parts[0], **joined)
