"""Whole plans over arrays of batches and lengths, on many cards: the formulas of one plan, evaluated for all at once.

What depends on batch and length is evaluated once for all cards: a card adds its cuBLAS workspace and says what it
offers. numpy comes in here, and where the formulas are given arrays.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.architecture.blocks import Architecture
from planner.catalog import find_gpu
from planner.catalog.rows.gpu import GpuRow
from planner.estimate import capability, certainty_of, resident_bytes, verdict_number
from planner.memory.band import Band, band_for
from planner.memory.loops import MANY_PASSES, all_pass_tokens
from planner.memory.model_parallel import device_length
from planner.memory.moments import Static
from planner.memory.pipeline import staged
from planner.memory.reserved import blocks_of, cached_bytes, kind_of
from planner.memory.runtime import batch_bytes, context_bytes, cublas_workspace_bytes, device_bytes
from planner.memory.step import Step
from planner.prepare import Prepared, prepare
from planner.resolve import check
from planner.schema import PlanRequest

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tensors:
    """Peaks of tensor bytes over (batch, length), on any card: without its cuBLAS workspace.

    lengths: tokens of a sequence as the model sees them, with a prompt's virtual ones. Of the stage with the peak:
    cached_bytes, what the allocator would hold at its highest (planner/memory/reserved.py), paged_bytes, optimizer
    states that can leave the card, and offloaded_bytes, activations on the host.
    """

    request: PlanRequest
    prepared: Prepared
    batches: Int64
    lengths: Int64
    peak_bytes: Int64
    cached_bytes: Int64
    paged_bytes: Int64
    offloaded_bytes: Int64
    band: Band


@dataclass(frozen=True, slots=True)
class OnCards:
    """The same on cards: one more axis in front, in the order of the cards. verdict: numbers of estimate.VERDICTS.

    resident_bytes: what must stay on the card (Plan.resident_bytes).
    """

    peak_bytes: Int64
    reserved_bytes: Int64
    device_bytes: Int64
    low_bytes: Int64
    high_bytes: Int64
    resident_bytes: Int64
    resident_low_bytes: Int64
    resident_high_bytes: Int64
    headroom_bytes: Int64
    verdict: Int64


def peak_bytes_grid(request: PlanRequest, batch: ArrayLike, length: ArrayLike) -> Int64:
    """peak_bytes of the request at every (batch, length), broadcast against each other.

    The request's own per_device_train_batch_size and max_length are not used. Raises PlannerError as `estimate` does.
    """
    gpu = find_gpu(request.gpu) if request.gpu is not None else None
    return tensors(request, batch, length).peak_bytes + _workspace_bytes(request, gpu)


def tensors(request: PlanRequest, batch: ArrayLike, length: ArrayLike) -> Tensors:
    """The part of the plans that no card changes; arguments and errors as of `peak_bytes_grid`."""
    batches, lengths = np.broadcast_arrays(np.asarray(batch, np.int64), np.asarray(length, np.int64))
    stacked, prepared = prepare(request)
    request, architecture = stacked.request, prepared.model.architecture
    check(request.model_copy(update={"max_length": int(lengths.max())}), architecture)
    lengths = lengths + request.virtual_tokens
    peaks, cached, paged, offloaded = _peaks(request, prepared, batches, lengths)
    band = band_for(request, certainty_of(request, prepared, prepared.static))
    return Tensors(request, prepared, batches, lengths, peaks, cached, paged, offloaded, band)


def on_cards(plans: Tensors, gpus: Sequence[GpuRow]) -> OnCards:
    """Peak, what the device shows, its band and the verdict on each card."""
    workspaces = _by_card([_workspace_bytes(plans.request, gpu) for gpu in gpus], plans.peak_bytes.ndim)
    peaks = plans.peak_bytes + workspaces
    usable = _by_card([gpu.usable_bytes for gpu in gpus], plans.peak_bytes.ndim)
    contexts = _by_card([context_bytes(capability(gpu)) for gpu in gpus], plans.peak_bytes.ndim)
    found = device_bytes(peaks, plans.cached_bytes + workspaces, plans.request, plans.band, usable, contexts)
    return OnCards(
        peak_bytes=peaks,
        reserved_bytes=found.reserved,
        device_bytes=found.device,
        low_bytes=found.low,
        high_bytes=found.high,
        resident_bytes=found.needed - plans.paged_bytes,
        resident_low_bytes=np.maximum(found.needed_low - plans.paged_bytes, 0),
        resident_high_bytes=np.maximum(found.needed_high - plans.paged_bytes, 0),
        headroom_bytes=usable - (found.needed - plans.paged_bytes),
        verdict=verdict_number(usable, found, plans.paged_bytes),
    )


def _by_card(values: Sequence[int], num_axes: int) -> Int64:
    """One value a card, to be broadcast over so many axes."""
    return np.array(values, np.int64).reshape(-1, *(1,) * num_axes)


def _workspace_bytes(request: PlanRequest, gpu: GpuRow | None) -> int:
    return cublas_workspace_bytes(capability(gpu)) if request.device == "cuda" else 0


def _peaks(request: PlanRequest, prepared: Prepared, batches: Int64, lengths: Int64) -> tuple[Int64, ...]:
    """The peaks, and of the stage that has each: what the allocator holds, paged states, offloaded activations."""
    architecture = prepared.model.architecture
    own = device_length(request, lengths)
    padded = request.padding == "padded"
    ids = batch_bytes(request.device, architecture.model_type, padded, batches, own)
    peaks, cached, paged, offloaded = (np.full(batches.shape, start, np.int64) for start in (-1, 0, 0, 0))
    kind, accumulating = kind_of(request, prepared.setup), request.gradient_accumulation_steps > 1
    for cells in alike(architecture, batches, lengths):
        step = prepared.step(batches[cells], lengths[cells], accumulating)
        for stage, static in prepared.stages:
            own_step = staged(step, stage, request)
            found = _highest(request, static, own_step) + ids[cells]
            higher = found > peaks[cells]
            held = cached_bytes(blocks_of(own_step, static, ids[cells], accumulating), kind, found)
            cached[cells] = np.where(higher, held, cached[cells])
            paged[cells] = np.where(higher, static.states.paged, paged[cells])
            offloaded[cells] = np.where(higher, own_step.on_host, offloaded[cells])
            peaks[cells] = np.maximum(peaks[cells], found)
    return peaks, cached, paged, offloaded


def _highest(request: PlanRequest, static: Static, step: Step) -> Int64:
    """The largest moment of one stage, without the batch itself."""
    resident = resident_bytes(request, static)
    highest = np.asarray(resident.optimizer_step)
    for moment in step.moments(resident.held):
        highest = np.maximum(highest, resident.running + resident.held(moment.at) + moment.bytes)
    return highest


def alike(architecture: Architecture, batches: Int64, lengths: Int64) -> Iterator[NDArray[np.bool_]]:
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
