"""Peaks over arrays of batches and lengths: the same formulas as one plan, evaluated for all at once.

The only place of the planner where numpy comes in.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.architecture.blocks import Architecture
from planner.estimate import resident_bytes
from planner.memory.dims import larger
from planner.memory.inventory import inventory, resolve_setup
from planner.memory.moments import static_bytes
from planner.memory.runtime import batch_bytes
from planner.memory.step import build_step
from planner.resolve import check, load_model
from planner.schema import PlanRequest
from planner.stacks import in_stack

Int64 = NDArray[np.int64]


def peak_bytes_grid(request: PlanRequest, batch: ArrayLike, length: ArrayLike) -> Int64:
    """peak_bytes of the request at every (batch, length), broadcast against each other.

    The request's own per_device_train_batch_size and max_length are not used. Raises PlannerError as `estimate` does.
    """
    batches, lengths = np.broadcast_arrays(np.asarray(batch, np.int64), np.asarray(length, np.int64))
    stacked = in_stack(request)
    request, model = stacked.request, load_model(request)
    largest = request.model_copy(update={"max_length": int(lengths.max())})
    check(largest, model.architecture)
    setup = resolve_setup(request, model.architecture, stacked.switches)
    static = static_bytes(request, model.architecture, inventory(request, model.architecture, setup), setup)
    resident = resident_bytes(request, static)
    peaks = np.full(batches.shape, resident.optimizer_step, np.int64)
    padded = request.padding == "padded"
    peaks += batch_bytes(request.device, model.architecture.model_type, padded, batches, lengths)
    accumulating = request.gradient_accumulation_steps > 1
    for cells in _alike(model.architecture, batches, lengths):
        sizes = (batches[cells], lengths[cells])
        step = build_step(request, model.architecture, setup, *sizes, gradients_exist=accumulating)
        ids = batch_bytes(request.device, model.architecture.model_type, padded, *sizes)
        for moment in step.moments():
            peaks[cells] = larger(peaks[cells], resident.running + ids + moment.bytes)
    return peaks


def _alike(architecture: Architecture, batches: Int64, lengths: Int64) -> Iterator[NDArray[np.bool_]]:
    """Cells that share one structure: a batch of one or more, and the same sliding windows exceeded."""
    windows = {b.attention.sliding_window for b in architecture.blocks if b.attention and b.attention.sliding_window}
    codes = (batches == 1).astype(np.int64)
    for window in sorted(windows):
        codes = codes * 2 + (lengths >= window)
    for code in np.unique(codes):
        yield codes == code
