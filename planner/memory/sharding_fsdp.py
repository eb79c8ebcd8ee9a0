"""FSDP2: parameters cut by rows, gathered layer by layer, gradients reduced layer by layer.

Source: torch 2.13 distributed/fsdp/_fully_shard; the order of allocations was followed on two processes
(profiler/distributed.py). Layers are wrapped one by one and the rest is the root, as accelerate 1.15 does
(utils/fsdp_utils.py fsdp2_prepare_model).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE
from planner.memory.loading import load_units
from planner.memory.reach import executed_blocks
from planner.memory.sharding import (
    EMBEDDING,
    FIRST,
    FORWARD,
    HEAD,
    LAST,
    MIDDLE,
    RUNNING,
    Buffer,
    FlatUnits,
    Shares,
    by_rows,
    computing,
    gathered_size,
    layer_sizes,
    outside,
)
from planner.memory.sharding_host import host_bytes, on_device
from planner.memory.states import gradient_bytes
from planner.schema import PlanRequest

_GATHER = "torch 2.13 distributed/fsdp/_fully_shard/_fsdp_collectives.py foreach_all_gather"
_GROUP = "torch 2.13 distributed/fsdp/_fully_shard/_fsdp_param_group.py wait_for_unshard"
_REDUCE = "torch 2.13 distributed/fsdp/_fully_shard/_fsdp_collectives.py foreach_reduce"

#: Setup.fsdp of FSDP1, whose parameters are flat.
FLAT = ("flat", "flat_blocks")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of the root, its head and the largest layer when they are whole, and of the layer's trained part."""

    root: int
    head: int
    layer: int
    trained: int
    trained_root: int


def fsdp_shares(
    request: PlanRequest, architecture: Architecture, items: tuple[Item, ...], setup: Setup, shards: int
) -> Shares:
    """Everything divided by `shards`; with offload_params the host keeps it."""
    local = by_rows(items, shards)
    with_gradients = _with_gradients(architecture, items, setup)
    sizes = _sizes(request, architecture, items, setup)
    buffers = tuple(_buffers(sizes, setup.fsdp == "units"))
    unreduced = sum(gathered_size(item, request, setup) * item.count for item in with_gradients if item.has_gradient)
    if request.parallelism.offload_params:
        host = host_bytes(request, setup, local, shards)
        return Shares(on_device(local), (), (), shards, buffers, host, unreduced=unreduced)
    gradients = by_rows(with_gradients, shards)
    if setup.fsdp in FLAT:
        buffers += (_until_forward(gradient_bytes(gradients)),)
    flat = _flat_units(request, architecture, items, setup, sizes, shards)
    return Shares(local, gradients, local, shards, buffers, unreduced=unreduced, reduced_apart=True, flat=flat)


def _flat_units(
    request: PlanRequest,
    architecture: Architecture,
    items: tuple[Item, ...],
    setup: Setup,
    sizes: Sizes,
    shards: int,
) -> FlatUnits | None:
    """Adapters are units of their own (PEFT's fsdp_auto_wrap_policy), too small to count here."""
    if setup.fsdp not in FLAT:
        return None
    full = request.method == "full"
    whole = [sum(unit.flattened(setup)) for unit in load_units(request, architecture, items, setup)]
    return FlatUnits(
        layer=sizes.layer,
        root=sizes.root,
        trained_layer=sizes.trained if full else 0,
        trained_root=sizes.trained_root if full else 0,
        layers=sum(block.count for block in executed_blocks(architecture)),
        shards=shards,
        kept_size=ITEMSIZE[setup.dtype],
        made_size=ITEMSIZE[computing(request, setup).dtype],
        loaded=max(whole[:-1]) + whole[-1],
    )


def _with_gradients(architecture: Architecture, items: tuple[Item, ...], setup: Setup) -> tuple[Item, ...]:
    """The parameters, with those marked that lie in one flat parameter with trained ones.

    FSDP reduces gradients at once; between micro-batches (no_sync, set_requires_gradient_sync) they stay whole.
    Source: torch 2.13 distributed/fsdp/_flat_param.py; _fully_shard/_fsdp_param.py to_accumulated_grad_if_needed;
    transformers 5.23 trainer.py (accelerator.no_sync in all micro-batches but the last).
    """
    if setup.fsdp != "flat_blocks":
        return items
    apart = set(outside(architecture, items))
    return tuple(
        item if item in apart or item.role in ("buffer", "linear_4bit") else replace(item, trainable=True)
        for item in items
    )


def _until_forward(num_bytes: int) -> Buffer:
    """zero_grad lets go of the views; the flat gradient behind them goes in the next forward."""
    formula = "sum of flat gradients' shards x bytes of their dtype"
    source = "torch 2.13 distributed/fsdp/_runtime_utils.py _root_pre_forward (_reset_flat_param_grad_info_if_needed)"
    at = ("between_steps",)
    return Buffer("flat gradients", "gradients", num_bytes, formula, {}, at, source, born="backward_layers")


def _sizes(request: PlanRequest, architecture: Architecture, items: tuple[Item, ...], setup: Setup) -> Sizes:
    rest = outside(architecture, items)
    full = request.method == "full"
    layer = max(layer_sizes(request, architecture, setup))
    head = [item for item in rest if architecture.head is not None and item.name == f"{architecture.head.name}.weight"]
    return Sizes(
        root=sum(gathered_size(item, request, setup) * item.count for item in rest),
        head=sum(gathered_size(item, request, setup) * item.count for item in head),
        layer=layer,
        trained=layer if full else max(layer_sizes(request, architecture, setup, trained=True)),
        trained_root=sum(gathered_size(item, request, setup) * item.count for item in rest if item.has_gradient),
    )


def _buffers(sizes: Sizes, units: bool) -> Iterator[Buffer]:
    """The root stays whole from forward to the end of backward. Of the layers there are, at any time, two.

    In forward the one at work and its flat all-gather result, which is kept until the next one is copied out; in
    the head that result alone; in backward the one at work and the next one's all-gather, but for the last. The
    input of a layer's reduce-scatter is kept until the next layer's. units: head and embeddings are gathered for
    their own use alone, and what then remains of the root is small.
    """
    layer: dict[str, int | float | str] = {"layer": sizes.layer}
    if units:
        yield _buffer("gathered head", sizes.head, "head", {"head": sizes.head}, HEAD, _GATHER)
        rest = sizes.root - sizes.head
        yield _buffer("gathered embeddings", rest, "embeddings", {"embeddings": rest}, EMBEDDING, _GATHER)
    else:
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
