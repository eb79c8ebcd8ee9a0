"""What loading leaves in the cache, by hand: flat parameters unit by unit, weights quantized on the device."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from planner.memory.allocator import CachingAllocator
from planner.memory.inventory import Item, Setup
from planner.memory.loading import LoadUnit, load_units
from planner.memory.quantized import Storage
from planner.memory.replay_flat import Flat
from planner.memory.replay_load import flatten_unit, quantize
from planner.memory.sharding import FlatUnits
from planner.prepare import prepare
from planner.schema import parse_request
from planner.units import MIB

NF4 = Storage("bnb_4bit", "nf4", 4, 0, True, "bfloat16")
SETUP = Setup(frozenset(), frozenset(), "bfloat16", "bfloat16", "bfloat16", "float32", "float32", fsdp="flat")
SHARDS = 2


def linear(name: str, numel: int, count: int = 1, **fields: Any) -> Item:
    item = Item(name, "linear", numel, count, "bfloat16", False, (numel // 1024, 1024))
    return replace(item, **fields)


def test_a_unit_is_there_twice_and_its_shard_stays() -> None:
    """Originals of 64 and 32 MiB, one flat tensor of 96, its half; nothing is broadcast."""
    allocator = CachingAllocator()
    shard = flatten_unit(allocator, [64 * MIB, 32 * MIB], SHARDS, broadcasts=False)
    assert shard.size == allocator.allocated == 48 * MIB
    assert allocator.reserved == allocator.peak_allocated == (64 + 32 + 96 + 48) * MIB


def test_the_next_unit_finds_the_cached_blocks() -> None:
    allocator = CachingAllocator()
    for _ in range(3):
        flatten_unit(allocator, [64 * MIB, 32 * MIB], SHARDS, broadcasts=False)
    assert allocator.reserved == (64 + 32 + 96 + 3 * 48) * MIB


@pytest.mark.parametrize(
    ("pieces", "segments"),
    [
        ([64, 32], [64, 32, 96, 48]),  # the one bucket serves the flat tensor
        ([300, 32], [300, 32, 332, 166]),  # two buckets of one tensor each, which need no copy
        ([200, 100, 64, 64], [200, 100, 64, 64, 300, 128, 428]),  # the first bucket's block serves the shard
        ([200, 60] * 3, [*[200, 60] * 3, 260, 260, 780, 390]),  # two buckets at once, never three
    ],
)
def test_rank_0_sends_in_buckets_before_the_unit_is_flattened(pieces: list[int], segments: list[int]) -> None:
    allocator = CachingAllocator()
    flatten_unit(allocator, [MIB * piece for piece in pieces], SHARDS, broadcasts=True)
    assert allocator.reserved == MIB * sum(segments)


def test_quantizing_leaves_codes_and_constants() -> None:
    """32 Mi elements: 64 MiB in 16 bits, 16 of codes, 2 of float32 absmax and the same once more; 0.5 MiB of bytes."""
    numel = 32 * MIB
    item = linear("w", numel, role="linear_4bit")
    allocator, setup = CachingAllocator(), replace(SETUP, storage=NF4)
    quantize(allocator, item, setup, to_host=False)
    blocks = numel // 64
    nested = 4 * blocks // 256
    assert allocator.allocated == 16 * MIB + blocks + nested
    assert allocator.peak_allocated == (64 + 16 + 2 + 2) * MIB + blocks + nested
    on_host = CachingAllocator()
    quantize(on_host, item, setup, to_host=True)
    assert on_host.allocated == blocks + nested


def test_constants_of_quantized_weights_are_not_flattened() -> None:
    setup = replace(SETUP, storage=NF4)
    unit = LoadUnit((linear("w", 4 * MIB, 2, role="linear_4bit"), linear("norm", 1024), _buffer()), 3)
    assert unit.flattened(setup) == [2 * MIB, 2 * MIB, 2048]


def test_adapters_are_units_of_their_own_but_where_blocks_are_wrapped_whole() -> None:
    adapter = linear("a", 1024, dtype="float32", trainable=True)
    unit = LoadUnit((linear("w", 1024), adapter), 1)
    assert (unit.flattened(SETUP), unit.apart(SETUP)) == ([2048], [4096])
    blocks = replace(SETUP, fsdp="flat_blocks")
    assert (unit.flattened(blocks), unit.apart(blocks)) == ([2048, 4096], [])


def test_a_model_is_loaded_layer_by_layer_and_then_its_root() -> None:
    """Four layers of 64 MiB, a root of 100: what the last layer left holds the smaller half of the root."""
    layer = LoadUnit((linear("h.*.w", 16 * MIB, 2),), 4)
    root = LoadUnit((linear("embed", 25 * MIB), linear("head", 25 * MIB)), 1)
    allocator = CachingAllocator()
    static = cast(Any, SimpleNamespace(weights=0))
    units = FlatUnits(64 * MIB, 100 * MIB, 0, 0, 4, SHARDS, 2, 2)
    Flat(allocator, static, replace(SETUP, fsdp="flat_blocks"), units, reentrant=False).load((layer, root))
    shards = (4 * 32 + 50) * MIB
    assert allocator.allocated == shards
    layers = (2 * 32 + 64) * MIB
    # the root: the layer's 64 hold one of 50, the other and the flat tensor are new, the shard of 50 too
    assert allocator.reserved == 4 * 32 * MIB + layers + (50 + 100 + 50) * MIB


def test_units_hold_the_whole_model() -> None:
    fields = {"model": "llama-3.2-1b", "method": "lora", "num_gpus": 2, "parallelism": {"strategy": "fsdp"}}
    fields |= {"stack": "transformers@4.46", "mixed_precision": "bf16"}
    stacked, prepared = prepare(parse_request(fields))
    static = prepared.static
    units = list(load_units(stacked.request, prepared.model.architecture, static.items, prepared.setup))
    elements = sum(item.elements * unit.count for unit in units for item in unit.items)
    assert elements == sum(item.elements for item in static.items)
    assert [unit.count for unit in units] == [16, 1]
    assert static.flat is not None
    layer = 2 * 2048 * (2048 + 512) + 3 * 2048 * 8192 + 2 * 2048  # q and o, k and v, the MLP, two norms
    root = 128256 * 2048 + 2048  # tied; the last norm
    assert static.flat.loaded == 2 * (layer + root)


def _buffer() -> Item:
    return Item("inv_freq", "buffer", 64, 1, "float32", False, (64,))
