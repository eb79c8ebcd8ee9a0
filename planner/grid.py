"""Peaks over arrays of batches and lengths: the same formulas as one plan, evaluated for all at once.

The only place of the planner where numpy comes in.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.architecture.blocks import Architecture
from planner.estimate import resident_bytes
from planner.memory.dims import larger
from planner.memory.loops import MANY_PASSES, all_pass_tokens
from planner.memory.model_parallel import device_length
from planner.memory.pipeline import staged
from planner.memory.runtime import batch_bytes
from planner.prepare import prepare
from planner.resolve import check
from planner.schema import PlanRequest

Int64 = NDArray[np.int64]


def peak_bytes_grid(request: PlanRequest, batch: ArrayLike, length: ArrayLike) -> Int64:
    """peak_bytes of the request at every (batch, length), broadcast against each other.

    The request's own per_device_train_batch_size and max_length are not used. Raises PlannerError as `estimate` does.
    """
    batches, lengths = np.broadcast_arrays(np.asarray(batch, np.int64), np.asarray(length, np.int64))
    stacked, prepared = prepare(request)
    request, model = stacked.request, prepared.model
    largest = request.model_copy(update={"max_length": int(lengths.max())})
    check(largest, model.architecture)
    padded = request.padding == "padded"
    own = device_length(request, lengths)
    ids = batch_bytes(request.device, model.architecture.model_type, padded, batches, own)
    residents = [(stage, resident_bytes(request, static)) for stage, static in prepared.stages]
    peaks = np.full(batches.shape, max(resident.optimizer_step for _, resident in residents), np.int64)
    peaks += ids
    accumulating = request.gradient_accumulation_steps > 1
    for cells in _alike(model.architecture, batches, lengths):
        step = prepared.step(batches[cells], lengths[cells], accumulating)
        for stage, resident in residents:
            for moment in staged(step, stage, request).moments(resident.held):
                total = resident.running + resident.held(moment.at) + ids[cells] + moment.bytes
                peaks[cells] = larger(peaks[cells], total)
    return peaks


def _alike(architecture: Architecture, batches: Int64, lengths: Int64) -> Iterator[NDArray[np.bool_]]:
    """Cells that share one structure: a batch of one or more, the same windows and passes of a recurrence exceeded."""
    edges = {b.attention.sliding_window for b in architecture.blocks if b.attention and b.attention.sliding_window}
    loops = sorted(all_pass_tokens(architecture))
    edges |= {tokens * passes + 1 for tokens in loops for passes in range(1, MANY_PASSES)}
    codes = (batches == 1).astype(np.int64)
    for edge in sorted(edges):
        codes = codes * 2 + (lengths >= edge)
    for tokens in loops:
        codes = codes * 2 + (lengths % tokens == 0)
    for code in np.unique(codes):
        yield codes == code
