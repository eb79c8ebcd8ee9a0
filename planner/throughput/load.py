"""What the kernels of one micro-batch ask of a card: operations by dtype, bytes and calls, summed by kind.

An additive roofline: a call takes its operations over the rate its shape reaches, plus its bytes over the bandwidth,
plus a fixed time. Sums instead of maxima keep the load apart from the card, so that many cards take one load.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from planner.memory.dims import Number, larger
from planner.memory.work import Work
from planner.throughput.constants import Constants


@dataclass(slots=True)
class KindLoad:
    """Of one kind: operations by dtype, weighted by what their shapes lose; bytes; calls."""

    flops: dict[str, Number] = field(default_factory=dict)
    bytes: Number = 0
    calls: Number = 0


@dataclass(slots=True)
class Load:
    """Of one micro-batch on one device, by kind of kernel.

    flops, recomputed_flops: as torch.utils.flop_counter counts them; the second are among the first.
    """

    kinds: dict[str, KindLoad]
    flops: Number = 0
    recomputed_flops: Number = 0

    @property
    def calls(self) -> Number:
        """Kernels of all kinds."""
        return sum(kind.calls for kind in self.kinds.values())


def load_of(works: Iterable[Work], constants: Constants) -> Load:
    """The load of one micro-batch's kernels. Attention is asked what is not masked: fused kernels skip the rest."""
    load = Load({})
    for work in works:
        kind = load.kinds.setdefault(work.kind, KindLoad())
        kind.calls = kind.calls + work.count
        kind.bytes = kind.bytes + work.count * work.bytes
        if work.kind not in ("matmul", "attention"):
            continue
        counted = work.count * work.flops
        load.flops = load.flops + counted
        if work.phase == "recompute":
            load.recomputed_flops = load.recomputed_flops + counted
        asked = counted - work.count * work.masked_flops
        if work.m is not None:
            asked = asked * shape_factor(work, constants)
        kind.flops[work.dtype] = kind.flops.get(work.dtype, 0) + asked
    return load


def shape_factor(work: Work, constants: Constants) -> Number:
    """How much longer a product takes than at the best rate, where its sides are small."""
    assert work.m is not None and work.n is not None and work.k is not None
    m, n, k = (larger(side, 1) for side in (work.m, work.n, work.k))  # a loss over one token has no rows
    side, depth = constants.half_side, constants.half_depth
    return (1 + side / m) * (1 + side / n) * (1 + depth / k)
