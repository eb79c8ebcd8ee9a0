"""What loading leaves in the allocator's cache, unit by unit: FSDP1's flat parameters, bitsandbytes' quantization.

Source: torch 2.13 distributed/fsdp/_init_utils.py _init_param_handle_from_module, _flat_param.py FlatParamHandle.shard;
c10d comm.cpp broadcast_coalesced; bitsandbytes 0.50 nn/modules.py Params4bit._quantize, functional.py quantize_4bit.
"""

from collections import deque
from collections.abc import Iterator, Sequence

from planner.memory.allocator import Block, CachingAllocator
from planner.memory.inventory import Item, Setup, stored_bytes
from planner.memory.live import ITEMSIZE
from planner.memory.loading import value_bytes
from planner.memory.quantized import BLOCK_4BIT, BLOCK_NESTED
from planner.memory.sharding import share
from planner.units import MIB

#: PARAM_BROADCAST_BUCKET_SIZE of torch/distributed/fsdp/_init_utils.py.
BUCKET_BYTES = 250 * MIB
#: broadcast_coalesced has so many buckets at once.
BUCKETS_IN_FLIGHT = 2


def flatten_unit(allocator: CachingAllocator, pieces: Sequence[int], shards: int, broadcasts: bool) -> Block:
    """A unit's parameters come to the device one by one and become one tensor; its shard is what stays.

    The originals live until the shard is cloned (managed_params names them). broadcasts: sync_module_states, with
    which rank 0 loads and sends, as transformers does it.
    """
    originals = [allocator.malloc(num_bytes) for num_bytes in pieces]
    if broadcasts:
        _broadcast(allocator, pieces)
    flat = allocator.malloc(sum(pieces))
    shard = allocator.malloc(share(sum(pieces), shards))
    for block in (flat, *originals):
        allocator.free(block)
    return shard


def quantize(allocator: CachingAllocator, item: Item, setup: Setup, to_host: bool) -> None:
    """One tensor is brought whole and quantized on the device; codes and constants stay, or the constants alone.

    to_host: under FSDP and ZeRO-3 codes go back at once, constants do not (transformers 4.48 modeling_utils.py
    _load_state_dict_into_meta_model).
    """
    storage = setup.storage
    assert storage is not None
    whole = allocator.malloc(item.numel * ITEMSIZE[setup.dtype])
    codes = allocator.malloc(value_bytes(item, setup))
    constants = stored_bytes(item, storage) - value_bytes(item, setup)
    if storage.double_quant:
        blocks = -(-item.numel // BLOCK_4BIT)
        absmax, centred = (allocator.malloc(4 * blocks) for _ in range(2))
        for kept in (blocks, 4 * -(-blocks // BLOCK_NESTED)):
            allocator.malloc(kept)
        allocator.free(centred)
        allocator.free(absmax)
    else:
        allocator.malloc(constants)
    for block in (whole, codes) if to_host else (whole,):
        allocator.free(block)


def _broadcast(allocator: CachingAllocator, pieces: Sequence[int]) -> None:
    in_flight: deque[Block | None] = deque()
    for bucket in _buckets(pieces):
        if len(in_flight) >= BUCKETS_IN_FLIGHT:
            _finish(allocator, in_flight)
        # flatten_dense_tensors: of a single tensor a view
        in_flight.append(allocator.malloc(sum(bucket)) if len(bucket) > 1 else None)
    while in_flight:
        _finish(allocator, in_flight)


def _finish(allocator: CachingAllocator, in_flight: deque[Block | None]) -> None:
    block = in_flight.popleft()
    if block is not None:
        allocator.free(block)


def _buckets(pieces: Sequence[int]) -> Iterator[list[int]]:
    """compute_bucket_assignment_by_size: the tensor that fills a bucket is its last."""
    bucket: list[int] = []
    for num_bytes in pieces:
        bucket.append(num_bytes)
        if sum(bucket) >= BUCKET_BYTES:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
