"""DeepSpeed's ZeRO-1, 2 and 3: flat float32 partitions, fixed buffers, and in stage 3 parameters kept in parts.

Source: DeepSpeed 0.19 runtime/zero/stage_1_and_2.py, stage3.py, partitioned_param_coordinator.py, config.py (defaults
of the sizes, in elements). Read, not run: it needs a GPU.
"""

from collections.abc import Iterator
from dataclasses import replace

from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE
from planner.memory.sharding import (
    ALWAYS,
    EMBEDDING,
    HEAD,
    LAYERS_BACKWARD,
    RUNNING,
    STEP,
    Buffer,
    Shares,
    computing,
    evenly,
    flat,
)
from planner.memory.sharding_host import on_device, weights_on_host
from planner.memory.states import state_bytes
from planner.optimizers import OPTIMIZERS
from planner.schema import PlanRequest

REDUCE_BUCKET_ELEMENTS = 500_000_000
PREFETCH_ELEMENTS = 50_000_000
MAX_LIVE_ELEMENTS = 1_000_000_000
SUB_GROUP_ELEMENTS = 1_000_000_000
PERSISTENCE_ELEMENTS = 100_000

_STAGE_2 = "DeepSpeed 0.19 runtime/zero/stage_1_and_2.py"
_STAGE_3 = "DeepSpeed 0.19 runtime/zero/stage3.py"
_COORDINATOR = "DeepSpeed 0.19 runtime/zero/partitioned_param_coordinator.py, config.py max_live_parameters"


def zero_shares(
    request: PlanRequest, items: tuple[Item, ...], own: tuple[Item, ...], setup: Setup, shards: int
) -> Shares:
    """One device's part under the request's stage, over `shards` data-parallel devices.

    items: what these devices share; own: what one of them works with, which is less where experts are divided.
    """
    computed = computing(request, setup)
    shared, used = _cast(items, computed, request), _cast(own, computed, request)
    stage = _stage_3 if request.parallelism.strategy == "zero3" else _stage_1_2
    return stage(request, shared, used, setup, shards)


def _cast(items: tuple[Item, ...], setup: Setup, request: PlanRequest) -> tuple[Item, ...]:
    """The module in the engine's dtype (runtime/engine.py: module.bfloat16() or half()), buffers and codes apart."""
    if request.mixed_precision == "no":
        return items
    floats = ("float32", "bfloat16", "float16")
    return tuple(
        replace(i, dtype=setup.dtype) if i.role not in ("buffer", "linear_4bit") and i.dtype in floats else i
        for i in items
    )


def _trained(items: tuple[Item, ...]) -> tuple[int, int]:
    """Trained elements, and the bytes of one."""
    trained = [item for item in items if item.has_gradient]
    return sum(i.elements for i in trained), max((ITEMSIZE[i.dtype] for i in trained), default=2)


def _master(elements: int, at: tuple[str, ...] = ALWAYS) -> Buffer:
    inputs: dict[str, int | float | str] = {"partition": elements}
    name = "float32 master weights"
    return Buffer(name, "optimizer", 4 * elements, "4 x partition", inputs, at, f"{_STAGE_2}, stage3.py", born="loaded")


def _bucket(size: int, at: tuple[str, ...], source: str) -> Buffer:
    inputs: dict[str, int | float | str] = {"reduce_bucket_size": REDUCE_BUCKET_ELEMENTS}
    formula = f"{size} x reduce_bucket_size"
    num_bytes = size * REDUCE_BUCKET_ELEMENTS
    return Buffer("reduce bucket", "workspace", num_bytes, formula, inputs, at, source, born="backward_head")


def _stage_1_2(
    request: PlanRequest, items: tuple[Item, ...], own: tuple[Item, ...], setup: Setup, shards: int
) -> Shares:
    """Weights whole; gradients whole (1) or the partition's (2); masters and states in one flat float32 partition."""
    trained, size = _trained(items)
    partition = flat(items, shards)
    part = -(-trained // shards)
    buffers = [_bucket(size, (*HEAD[1:], *LAYERS_BACKWARD, *EMBEDDING), f"{_STAGE_2} setup_buckets")]
    stage_2 = request.parallelism.strategy == "zero2"
    gradients = _sixteen_bit(partition, items) if stage_2 else own
    if request.parallelism.offload_optimizer:
        largest = max((item.numel for item in items if item.has_gradient), default=0)
        buffers.append(_copy_buffer(size * largest, largest))
        on_host = state_bytes(OPTIMIZERS[request.optim], partition, "cpu").total + (4 + 4 + size) * part
        return Shares(own, () if stage_2 else gradients, (), shards, tuple(buffers), on_host)
    buffers += [_master(part), *_step_gradients(request, partition, part, size, size * (part if stage_2 else trained))]
    return Shares(own, gradients, partition, shards, tuple(buffers))


def _sixteen_bit(partition: tuple[Item, ...], items: tuple[Item, ...]) -> tuple[Item, ...]:
    dtype = next((item.dtype for item in items if item.has_gradient), "bfloat16")
    return tuple(replace(item, dtype=dtype) for item in partition)


def _step_gradients(
    request: PlanRequest, partition: tuple[Item, ...], part: int, size: int, before: int
) -> Iterator[Buffer]:
    """In step(): the partition's gradients, flattened, and their float32 copy, less what they take the place of."""
    needed = max((2 * size + 4) * part, before)
    if needed > before:
        inputs: dict[str, int | float | str] = {"partition": part, "held": before}
        formula = f"{2 * size + 4} x partition - held"
        name = "flat and float32 gradients"
        yield Buffer(
            name, "gradients", needed - before, formula, inputs, STEP, f"{_STAGE_2} step", born="optimizer_step"
        )


def _copy_buffer(num_bytes: int, largest: int) -> Buffer:
    inputs: dict[str, int | float | str] = {"largest parameter": largest}
    source = f"{_STAGE_2} temp_grad_buffer_for_gpu_offload"
    return Buffer("gradient copy buffer", "workspace", num_bytes, "largest parameter", inputs, ALWAYS, source)


def _stage_3(request: PlanRequest, items: tuple[Item, ...], own: tuple[Item, ...], setup: Setup, shards: int) -> Shares:
    """Weights in parts, small ones whole; a flat buffer of gradient parts that stays; masters and states in parts."""
    trained, size = _trained(items)
    local = evenly(items, shards, PERSISTENCE_ELEMENTS)
    partition = flat(items, shards)
    part = -(-trained // shards)
    offload = request.parallelism
    buffers = [*_gathered(own, setup, shards), _bucket(size, ALWAYS, f"{_STAGE_3} ipg_buckets")]
    on_host = weights_on_host(setup, local, shards) if offload.offload_params else 0
    weights = on_device(local) if offload.offload_params else local
    if offload.offload_optimizer:
        on_host += state_bytes(OPTIMIZERS[request.optim], partition, "cpu").total + (4 + 4 + size) * part
        return Shares(weights, (), (), shards, tuple(buffers), on_host)
    buffers += [_master(part), *_stage_3_gradients(part, size)]
    stepped = flat(items, max(shards, -(-trained // SUB_GROUP_ELEMENTS)))
    return Shares(weights, (), partition, shards, tuple(buffers), on_host, stepped=stepped)


def _gathered(items: tuple[Item, ...], setup: Setup, shards: int) -> Iterator[Buffer]:
    """Parameters that are whole: up to max_live_parameters stay, as they are used again within max_reuse_distance."""
    sizes = [item for item in items if item.role != "buffer" and item.numel > PERSISTENCE_ELEMENTS]
    elements = sum(item.elements for item in sizes)
    if not elements or shards == 1:
        return
    num_bytes = sum(_whole(item, setup) for item in sizes)
    live = min(elements, max(MAX_LIVE_ELEMENTS, max(item.numel for item in sizes)) + PREFETCH_ELEMENTS)
    inputs: dict[str, int | float | str] = {"live parameters": live, "parameters": elements, "whole": num_bytes}
    formula = "whole x live parameters / parameters"
    yield Buffer(
        "gathered parameters", "workspace", num_bytes * live // elements, formula, inputs, RUNNING, _COORDINATOR
    )


def _whole(item: Item, setup: Setup) -> int:
    if item.role == "linear_4bit" and setup.storage is not None:
        return setup.storage.codes_bytes(item.shape, item.numel) * item.count
    return item.elements * ITEMSIZE[item.dtype]


def _stage_3_gradients(part: int, size: int) -> Iterator[Buffer]:
    inputs: dict[str, int | float | str] = {"partition": part}
    source = f"{_STAGE_3} grad_partitions_flat_buffer"
    yield Buffer("flat gradient partitions", "gradients", size * part, f"{size} x partition", inputs, ALWAYS, source)
    group = min(part, SUB_GROUP_ELEMENTS)
    inputs = {"sub-group": group}
    source = f"{_STAGE_3} _prepare_fp32_grad_for_sub_group"
    name = "float32 gradients of a sub-group"
    num_bytes, formula = (size + 4) * group, f"{size + 4} x sub-group"
    yield Buffer(name, "gradients", num_bytes, formula, inputs, STEP, source, born="optimizer_step")
