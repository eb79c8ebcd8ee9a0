"""FSDP2: parameters cut by rows, gathered layer by layer, gradients reduced layer by layer.

Source: torch 2.13 distributed/fsdp/_fully_shard; the order of allocations was followed on two processes
(profiler/distributed.py). Layers are wrapped one by one and the rest is the root, as accelerate 1.15 does
(utils/fsdp_utils.py fsdp2_prepare_model).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup
from planner.memory.sharding import (
    EMBEDDING,
    FIRST,
    FORWARD,
    HEAD,
    LAST,
    MIDDLE,
    RUNNING,
    Buffer,
    Shares,
    by_rows,
    gathered_size,
    layer_sizes,
    outside,
)
from planner.memory.sharding_host import host_bytes, on_device
from planner.schema import PlanRequest

_GATHER = "torch 2.13 distributed/fsdp/_fully_shard/_fsdp_collectives.py foreach_all_gather"
_GROUP = "torch 2.13 distributed/fsdp/_fully_shard/_fsdp_param_group.py wait_for_unshard"
_REDUCE = "torch 2.13 distributed/fsdp/_fully_shard/_fsdp_collectives.py foreach_reduce"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the root and of the largest layer when they are whole, and of the layer's trained part."""

    root: int
    layer: int
    trained: int
    trained_root: int


def fsdp_shares(
    request: PlanRequest, architecture: Architecture, items: tuple[Item, ...], setup: Setup, shards: int
) -> Shares:
    """Everything divided by `shards`; with offload_params the host keeps it."""
    local = by_rows(items, shards)
    buffers = tuple(_buffers(_sizes(request, architecture, items, setup)))
    if not request.parallelism.offload_params:
        return Shares(local, local, local, shards, buffers)
    return Shares(on_device(local), (), (), shards, buffers, host_bytes(request, setup, local, shards))


def _sizes(request: PlanRequest, architecture: Architecture, items: tuple[Item, ...], setup: Setup) -> Sizes:
    rest = outside(architecture, items)
    full = request.method == "full"
    layer = max(layer_sizes(request, architecture, setup))
    return Sizes(
        root=sum(gathered_size(item, request, setup) * item.count for item in rest),
        layer=layer,
        trained=layer if full else max(layer_sizes(request, architecture, setup, trained=True)),
        trained_root=sum(gathered_size(item, request, setup) * item.count for item in rest if item.has_gradient),
    )


def _buffers(sizes: Sizes) -> Iterator[Buffer]:
    """The root stays whole from forward to the end of backward. Of the layers there are, at any time, two.

    In forward the one at work and its flat all-gather result, which is kept until the next one is copied out; in
    the head that result alone; in backward the one at work and the next one's all-gather, but for the last. The
    input of a layer's reduce-scatter is kept until the next layer's.
    """
    layer: dict[str, int | float | str] = {"layer": sizes.layer}
    yield _buffer("gathered embeddings and head", sizes.root, "root", {"root": sizes.root}, RUNNING, _GATHER)
    yield _buffer("gathered layers", 2 * sizes.layer, "2 x layer", layer, (*FORWARD, FIRST, MIDDLE), _GROUP)
    yield _buffer("gathered layer", sizes.layer, "layer", layer, (*HEAD, LAST), _GROUP)
    inputs: dict[str, int | float | str] = {"trained layer": sizes.trained}
    at = (MIDDLE, LAST, *EMBEDDING)
    yield _buffer("reduce-scatter input", sizes.trained, "trained layer", inputs, at, _REDUCE)


def _buffer(
    name: str, num_bytes: int, formula: str, inputs: dict[str, int | float | str], at: tuple[str, ...], source: str
) -> Buffer:
    return Buffer(name, "workspace", num_bytes, f"{formula} x bytes of the gathered dtype", inputs, at, source)
