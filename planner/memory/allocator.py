"""torch's CUDA caching allocator by its own rules: what it reserves for a sequence of births and ends of tensors.

Source: torch 2.13 c10/cuda/CUDACachingAllocator.cpp, DeviceCachingAllocator (malloc, free, get_free_block, alloc_block,
split, merge); c10/core/CachingDeviceAllocator.h for the sizes. Every stream has pools of its own; a block that another
stream has used (record_stream) waits after its end until that stream is through with it: `retire`, then `reuse`.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass, field

from planner.units import MIB

#: kMinBlockSize, kSmallSize, kSmallBuffer, kMinLargeAlloc, kLargeBuffer, kRoundLarge.
MIN_BLOCK_BYTES = 512
SMALL_BYTES = MIB
SMALL_SEGMENT_BYTES = 2 * MIB
MIN_LARGE_BYTES = 10 * MIB
LARGE_SEGMENT_BYTES = 20 * MIB
ROUND_LARGE_BYTES = 2 * MIB


def rounded(num_bytes: int) -> int:
    """Bytes of the block that a tensor takes (round_size)."""
    return max(-(-num_bytes // MIN_BLOCK_BYTES) * MIN_BLOCK_BYTES, MIN_BLOCK_BYTES)


def segment_bytes(block_bytes: int) -> int:
    """Bytes asked of the driver for a block that no cached one can hold (get_allocation_size)."""
    if block_bytes <= SMALL_BYTES:
        return SMALL_SEGMENT_BYTES
    if block_bytes < MIN_LARGE_BYTES:
        return LARGE_SEGMENT_BYTES
    return -(-block_bytes // ROUND_LARGE_BYTES) * ROUND_LARGE_BYTES


class OutOfMemory(Exception):
    """The driver has not what is asked for, even with all cached segments given back."""


@dataclass(slots=True, eq=False)
class Block:
    """A stretch of a segment; its neighbours in the segment, and its place in the free list where it is free."""

    size: int
    pool: "Pool"
    before: "Block | None" = None
    after: "Block | None" = None
    free: bool = False
    number: int = 0


@dataclass(slots=True, eq=False)
class Pool:
    """Small blocks of a stream, or large ones: the free ones by size.

    splits_above: what a block must leave to be split; page: by what an expandable segment grows.
    """

    splits_above: int
    page: int
    order: list[tuple[int, int]] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)

    def add(self, block: Block, number: int) -> None:
        block.free, block.number = True, number
        insort(self.order, (block.size, number))
        self.blocks[number] = block

    def remove(self, block: Block) -> None:
        block.free = False
        del self.order[bisect_left(self.order, (block.size, block.number))]
        del self.blocks[block.number]

    def best_fit(self, size: int) -> Block | None:
        """The smallest free block that holds `size`."""
        place = bisect_left(self.order, (size, 0))
        return self.blocks[self.order[place][1]] if place < len(self.order) else None


class CachingAllocator:
    """allocated, reserved: bytes now; the peaks of both. limit: what the driver has, where cached segments go back.

    expandable: PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, one segment a pool that grows at its end.
    """

    def __init__(self, limit: int | None = None, expandable: bool = False):
        self._pools: dict[tuple[str, bool], Pool] = {}
        self.limit, self.expandable = limit, expandable
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self._ends: dict[int, Block] = {}
        self._number = 0

    def malloc(self, num_bytes: int, stream: str = "compute") -> Block:
        """A block for a tensor: the best fitting cached one of its stream, or the start of a new segment."""
        size = rounded(num_bytes)
        pool = self._pool(stream, size <= SMALL_BYTES)
        block = pool.best_fit(size)
        if block is not None:
            pool.remove(block)
        else:
            block = self._grow(pool, size) if self.expandable else self._segment(pool, size)
        if block.size - size > pool.splits_above:
            self._split(block, size)
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)
        return block

    def free(self, block: Block) -> None:
        """Give a block back to the cache."""
        self.retire(block)
        self.reuse(block)

    def retire(self, block: Block) -> None:
        """A tensor's end: its bytes count no more as allocated."""
        self.allocated -= block.size

    def reuse(self, block: Block) -> None:
        """Put the block of an ended tensor into the cache, joined with its free neighbours."""
        pool, before, after = block.pool, block.before, block.after
        if before is not None and before.free:
            pool.remove(before)
            block = self._join(before, block)
        if after is not None and after.free:
            pool.remove(after)
            block = self._join(block, after)
        pool.add(block, self._next())

    def _pool(self, stream: str, small: bool) -> Pool:
        found = self._pools.get((stream, small))
        if found is None:
            page, splits_above = (
                (SMALL_SEGMENT_BYTES, MIN_BLOCK_BYTES - 1) if small else (LARGE_SEGMENT_BYTES, SMALL_BYTES)
            )
            found = self._pools[stream, small] = Pool(splits_above, page)
        return found

    def _segment(self, pool: Pool, size: int) -> Block:
        total = segment_bytes(size)
        self._make_room(total)
        self._reserve(total)
        return Block(total, pool)

    def _grow(self, pool: Pool, size: int) -> Block:
        """Map what the block needs beyond the free end of the pool's one segment."""
        end = self._ends.get(id(pool))
        held = end.size if end is not None and end.free else 0
        more = -(-(size - held) // pool.page) * pool.page
        self._make_room(more)
        self._reserve(more)
        if end is not None and end.free:
            pool.remove(end)
            end.size += more
            return end
        block = Block(more, pool, before=end)
        if end is not None:
            end.after = block
        self._ends[id(pool)] = block
        return block

    def _make_room(self, num_bytes: int) -> None:
        if self.limit is None or self.reserved + num_bytes <= self.limit:
            return
        self._release_cached()
        if self.reserved + num_bytes > self.limit:
            raise OutOfMemory

    def _reserve(self, num_bytes: int) -> None:
        self.reserved += num_bytes
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def _release_cached(self) -> None:
        """Segments that are free as a whole go back to the driver (release_cached_blocks)."""
        for pool in self._pools.values():
            for block in [b for b in pool.blocks.values() if b.before is None and b.after is None]:
                pool.remove(block)
                self.reserved -= block.size

    def _split(self, block: Block, size: int) -> None:
        rest = Block(block.size - size, block.pool, block, block.after)
        if block.after is not None:
            block.after.before = rest
        block.size, block.after = size, rest
        if self._ends.get(id(block.pool)) is block:
            self._ends[id(block.pool)] = rest
        block.pool.add(rest, self._next())

    def _join(self, first: Block, second: Block) -> Block:
        first.size, first.after = first.size + second.size, second.after
        if second.after is not None:
            second.after.before = first
        if self._ends.get(id(first.pool)) is second:
            self._ends[id(first.pool)] = first
        return first

    def _next(self) -> int:
        self._number += 1
        return self._number
