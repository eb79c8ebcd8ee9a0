"""What a step moves between a card and its host's memory, and what the host computes."""

from planner.memory.dims import Number
from planner.memory.live import ITEMSIZE
from planner.memory.sharding import gathered_size
from planner.parallelism import data_parallel_size
from planner.prepare import Prepared
from planner.schema import PlanRequest
from planner.throughput.answer import Part
from planner.throughput.constants import Constants
from planner.throughput.rates import Rates
from planner.units import GB

#: Bytes an element that the host's AdamW reads and writes: float32 weight, gradient and two states.
_HOST_UPDATE_BYTES = 28


def offload_seconds(
    request: PlanRequest, prepared: Prepared, saved_bytes: Number, paged_bytes: Number, rates: Rates, c: Constants
) -> list[Part]:
    """Parts of a step; saved_bytes: what a micro-batch keeps on the host; paged_bytes: states that left the card."""
    p, times, parts = request.parallelism, request.gradient_accumulation_steps, []
    link = rates.host_bytes * c.host_link_share
    if p.offload_optimizer or p.offload_params:
        shards = data_parallel_size(request)
        trained = [item for item in prepared.static.items if item.has_gradient]
        elements = sum(item.elements for item in trained) / shards
        gradients = sum(item.elements * ITEMSIZE[item.dtype] for item in trained) / shards
        moved = (times + 1) * gradients / link
        update = elements * _HOST_UPDATE_BYTES / (c.host_update_gb_s * GB)
        parts.append(Part("optimizer on the host", moved + update, "gradients and weights / link + update", _SOURCE))
    if p.offload_params:
        weights = sum(
            gathered_size(item, request, prepared.setup) * item.count
            for item in prepared.static.items
            if item.role != "buffer"
        )
        seconds = 2 * times * weights / data_parallel_size(request) / link
        parts.append(Part("weights from the host", seconds, "2 x micro-batches x weights / link", _SOURCE))
    if p.activation_offloading:
        seconds = 2 * times * saved_bytes / link * (1 - c.overlap_share)
        parts.append(Part("activations to the host and back", seconds, "2 x bytes / link, not hidden", _SOURCE))
    if request.device == "cuda" and prepared.static.optimizer.paged:
        parts.append(Part("paged states", 2 * paged_bytes / link, "2 x bytes / link", _SOURCE))
    return parts


_SOURCE = "PCIe lanes of data/gpus.csv"
