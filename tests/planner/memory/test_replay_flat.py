"""FSDP1's streams in a replay, by hand: two layers in forward, three in backward, gradients in blocks of their own."""

from types import SimpleNamespace
from typing import Any, cast

from planner.memory.allocator import CachingAllocator
from planner.memory.evaluated import Part
from planner.memory.live import Live
from planner.memory.replay_flat import Flat
from planner.memory.replay_parts import Owner
from planner.memory.sharding import FlatUnits
from planner.units import MIB

LAYERS, SHARDS = 4, 2
#: As gathered in 16 bits; the device keeps float32.
LAYER, ROOT = 64 * MIB, 128 * MIB


def units(**fields: int) -> FlatUnits:
    sizes = {"layer": LAYER, "root": ROOT, "trained_layer": LAYER, "trained_root": ROOT}
    counts = {"layers": LAYERS, "shards": SHARDS, "kept_size": 4, "made_size": 2}
    return FlatUnits(**sizes | counts | fields)


def run(own: FlatUnits, reentrant: bool = True) -> tuple[int, int]:
    """Reserved after the forward and after the backward of a step without activations."""
    allocator = CachingAllocator()
    static = cast(Any, SimpleNamespace(weights=0))
    flat = Flat(allocator, static, cast(Any, None), own, reentrant)
    flat.begin_forward()
    for _ in range(LAYERS):
        flat.before_forward()
        flat.after_forward()
    forward = allocator.reserved
    for layer in reversed(range(LAYERS)):
        flat.before_backward(is_last=layer == 0)
        flat.after_backward(Owner(Part({}), allocator), Live())
    flat.end_backward(Owner(Part({}), allocator))
    assert allocator.allocated == sum(block.size for block in flat._reduced)
    return forward, allocator.reserved


def test_frozen_parameters_are_gathered_two_ahead() -> None:
    frozen = units(trained_layer=0, trained_root=0, kept_size=2)
    assert run(frozen) == (ROOT + 2 * LAYER, ROOT + 3 * LAYER)


def test_without_recomputation_two_blocks_and_the_next_are_there_too() -> None:
    assert run(units(trained_layer=0, trained_root=0, kept_size=2), reentrant=False)[1] == ROOT + 3 * LAYER


def test_shards_are_cast_in_a_stream_of_their_own() -> None:
    """The root's cast shard is gone when the first layer's is made, and serves it."""
    cast_shards = ROOT // SHARDS
    assert run(units(trained_layer=0, trained_root=0))[0] == ROOT + 2 * LAYER + cast_shards


def test_gradients_are_reduced_into_another_stream_and_wait_whole() -> None:
    gathered = ROOT + 3 * LAYER + ROOT // SHARDS
    waiting = 3 * LAYER + ROOT  # two layers that are being reduced and the one at work; then the root
    reduced = 2 * (LAYERS * LAYER + ROOT) // SHARDS  # in float32
    made = LAYER // SHARDS + ROOT // SHARDS  # 16-bit shards before they are cast: a layer's, the root's
    assert run(units())[1] == gathered + waiting + reduced + made
