"""Taped parts with sizes put in: sums of bytes instead of symbols."""

from dataclasses import dataclass, field, replace

from planner.memory.dims import (
    Dims,
    Number,
    value,
)
from planner.memory.live import Live, Monomial
from planner.memory.peaks import Peaks
from planner.memory.taped import TapedLayer

#: A moment of a taped part: which of its peaks.
Candidate = tuple[Peaks, int]


class Sizes(dict[Monomial, Number]):
    """Products of symbols at the values of `dims`, each computed once."""

    def __init__(self, dims: Dims):
        super().__init__()
        self._dims = dims

    def __missing__(self, monomial: Monomial) -> Number:
        size = self[monomial] = value(monomial, self._dims)
        return size


class Part:
    """A taped part with the sizes to put in: one kind of layer, or the model around them."""

    __slots__ = ("dims", "sizes")

    def __init__(self, dims: Dims):
        self.dims, self.sizes = dims, Sizes(dims)

    def total(self, live: Live) -> Number:
        """Bytes of what is live."""
        sizes, total = self.sizes, 0
        for _, monomial, coefficient in live.groups:
            total = total + coefficient * sizes[monomial]
        return total

    def highest(self, peaks: Peaks) -> tuple[Number, Candidate | None]:
        """The largest candidate, and which one it is (None where sizes are arrays)."""
        best, which = peaks.highest(self.sizes)
        return best, None if which is None else (peaks, which)


@dataclass(slots=True)
class Layer:
    """One kind of layer, evaluated: bytes kept, left and needed.

    kind: how labels begin of what the model's forward made for layers of this kind only (masks, rotary tables).
    """

    part: Part
    tape: TapedLayer
    saved: Number
    passed: Number
    kept: Number
    gradients: Number
    forward: Number
    backward: Number
    forward_at: Candidate | None
    backward_at: Candidate | None
    kind: str = ""
    besides: Live = field(default_factory=Live)
    left: Live = field(default_factory=Live)
    on_host: Number = 0

    def need(self, live: Live) -> None:
        """This besides, while the layer is at work."""
        self.besides = live
        self.forward, self.backward = (size + self.part.total(live) for size in (self.forward, self.backward))

    def offload(self) -> None:
        """What it saves goes to the host, and comes back when the layer is at work again."""
        self.on_host = self.kept
        self.saved = self.passed = self.kept = 0
        self.tape = replace(self.tape, saved=Live(), passed=Live(), kept=Live())

    def at_work(self, found: Candidate | None) -> tuple[tuple[Part, Live, int], ...]:
        """What is live of it at one of its peaks."""
        pieces = () if found is None else pieces_at(self.part, found)
        return (*pieces, (self.part, self.besides, 1)) if self.besides else pieces

    def leave(self, live: Live) -> None:
        """This stays to the end of backward as the layer is done."""
        self.left = live
        self.gradients = self.gradients + self.part.total(live)

    def keep(self, num_bytes: Number) -> None:
        """Of the gradients, what stays when the layer is done."""
        self.gradients = self.part.dims["layer_gradients"] = num_bytes


def pieces_at(part: Part, found: Candidate | None) -> tuple[tuple[Part, Live, int], ...]:
    return () if found is None else ((part, found[0].live(found[1]), 1),)


Runs = list[tuple[Layer, int]]
