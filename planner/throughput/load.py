"""What the kernels of one micro-batch ask of a card: operations by dtype, bytes and calls, summed by kind.

An additive roofline: a call takes its operations over the rate, plus a start-up for each side of a product (its share
is side / m, side / n, depth / k), plus its bytes over the bandwidth, plus a fixed time. Sums instead of maxima keep the
load apart from the card and from fitted constants, so that many cards take one load.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from planner.memory.dims import Number
from planner.memory.work import Work


@dataclass(slots=True)
class Operations:
    """Of kernels of one dtype: operations, and the same over each product's rows and columns, and over its depth.

    A product of m x n x k has 2 m n k operations; over its rows and columns that is 2 k (m + n), over its depth 2 m n.
    """

    done: Number = 0
    over_sides: Number = 0
    over_depth: Number = 0


@dataclass(slots=True)
class KindLoad:
    """Of one kind: operations by dtype, bytes, calls."""

    flops: dict[str, Operations] = field(default_factory=dict)
    bytes: Number = 0
    calls: Number = 0

    def of(self, dtype: str) -> Operations:
        """The operations of a dtype, to be added to."""
        return self.flops.setdefault(dtype, Operations())


@dataclass(slots=True)
class Load:
    """Of one micro-batch on one device, by kind of kernel.

    flops, recomputed_flops: as torch.utils.flop_counter counts them; the second are among the first.
    """

    kinds: dict[str, KindLoad] = field(default_factory=dict)
    flops: Number = 0
    recomputed_flops: Number = 0

    @property
    def calls(self) -> Number:
        """Kernels of all kinds."""
        return sum(kind.calls for kind in self.kinds.values())

    def kind(self, name: str) -> KindLoad:
        """The load of a kind, to be added to."""
        return self.kinds.setdefault(name, KindLoad())


#: Kinds whose operations torch.utils.flop_counter counts.
COUNTED = ("matmul", "attention", "convolution")


def load_of(works: Iterable[Work]) -> Load:
    """The load of one micro-batch's kernels. Attention is asked what is not masked: fused kernels skip the rest."""
    load = Load()
    for work in works:
        kind = load.kind(work.kind)
        kind.calls = kind.calls + work.count
        kind.bytes = kind.bytes + work.count * work.bytes
        if work.kind in COUNTED:
            _count(load, kind, work)
    return load


def _count(load: Load, kind: KindLoad, work: Work) -> None:
    counted = work.count * work.flops
    load.flops = load.flops + counted
    if work.phase == "recompute":
        load.recomputed_flops = load.recomputed_flops + counted
    operations = kind.of(work.dtype)
    operations.done = operations.done + counted - work.count * work.masked_flops
    if work.m is not None and work.n is not None and work.k is not None:
        one = 2 * work.m * work.n * work.k
        batches = counted / (one + (one == 0))  # a loss over one token has no rows
        operations.over_sides = operations.over_sides + 2 * batches * work.k * (work.m + work.n)
        operations.over_depth = operations.over_depth + 2 * batches * work.m * work.n
