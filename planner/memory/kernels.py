"""What a tape notes of its kernels: operations and bytes as products of symbols, summed up when they are asked for.

A note costs a tuple. Matrix products and fused attention say their sizes; everything else moves bytes: its inputs are
read and its output written once. In backward each new tensor is a kernel that reads the gradient and what was saved.
Left out: what has no graph and is small beside it (masks, positions, dropout's random numbers).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Literal

from planner.memory.graph import Value
from planner.memory.live import ITEMSIZE, Kind, Monomial, Shape

WorkPhase = Literal["forward", "recompute", "backward"]

#: Matrices whose product is made: how many at once, and m, n and k of each.
Product = tuple[Shape, Shape, Shape, Shape]
#: Shapes and dtypes of the tensors that are read or written.
Moved = tuple[tuple[Shape, str], ...]
#: kind, phase, dtype, products, bytes, how many such kernels, a symbol for as many again (or ""), and `skips`.
Note = tuple[Kind, WorkPhase, str, Sequence[Product], Moved, int, str, bool]
#: Coefficients of products of symbols.
Polynomial = tuple[tuple[Monomial, int], ...]


def whole(*values: Value) -> Moved:
    """All of these tensors."""
    return tuple([(value.shape, value.dtype) for value in values])


@dataclass(frozen=True, slots=True, eq=False)
class Kernel:
    """What one kernel does; the same object in all tapes that run it, so that what follows from it is found once.

    sizes: m, n and k of one matrix product. skips: attention that leaves out what causal order and windows mask.
    """

    kind: Kind
    phase: WorkPhase
    dtype: str
    flops: Polynomial
    bytes: Polynomial
    sizes: tuple[tuple[Monomial, int], ...]
    skips: bool


#: A kernel, how often it runs, and symbols that count more of it.
Counted = tuple[Kernel, int, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, eq=False)
class Noted:
    """The kernels of one part of a tape; equal to itself alone, so that what follows from it is kept by it."""

    notes: tuple[Note, ...] = ()

    @cached_property
    def kernels(self) -> tuple[Counted, ...]:
        """Equal ones together."""
        counts: dict[Kernel, dict[str, int]] = {}
        for kind, phase, dtype, products, moved, number, again, skips in self.notes:
            kernel = _kernel(kind, phase, dtype, tuple(products), moved, skips)
            found = counts.setdefault(kernel, {"": 0})
            found[""] += number
            if again:
                found[again] = found.get(again, 0) + number
        return tuple([(kernel, found.pop(""), tuple(found.items())) for kernel, found in counts.items()])

    @cached_property
    def flops(self) -> Polynomial:
        """Operations of all products, as torch.utils.flop_counter counts them."""
        total: dict[Monomial, int] = {}
        for note in self.notes:
            for product in note[3]:
                monomial, factor = _product(product)
                _add(total, monomial, note[5] * factor)
                if note[6]:
                    _add(total, tuple(sorted((*monomial, note[6]))), note[5] * factor)
        return tuple(total.items())


@lru_cache(maxsize=2**14)
def _kernel(
    kind: Kind, phase: WorkPhase, dtype: str, products: tuple[Product, ...], moved: Moved, skips: bool
) -> Kernel:
    flops: dict[Monomial, int] = {}
    for product in products:
        _add(flops, *_product(product))
    num_bytes: dict[Monomial, int] = {}
    for shape, of in moved:
        monomial, factor = product_of(shape)
        _add(num_bytes, monomial, factor * ITEMSIZE[of])
    sizes = tuple(product_of(part) for part in products[0][1:]) if len(products) == 1 else ()
    return Kernel(kind, phase, dtype, tuple(flops.items()), tuple(num_bytes.items()), sizes, skips)


@lru_cache(maxsize=2**14)
def _product(product: Product) -> tuple[Monomial, int]:
    """2 x m x n x k of each."""
    monomial, factor = product_of(tuple(part for side in product for part in side))
    return monomial, 2 * factor


@lru_cache(maxsize=2**14)
def product_of(shape: Shape) -> tuple[Monomial, int]:
    """The product of a shape's sizes: its symbols, and the numbers among them."""
    factor = 1
    for part in shape:
        if isinstance(part, int):
            factor *= part
    return tuple(sorted([part for part in shape if isinstance(part, str)])), factor


def _add(total: dict[Monomial, int], monomial: Monomial, number: int) -> None:
    total[monomial] = total.get(monomial, 0) + number


@dataclass(slots=True)
class Recorder:
    """The notes of a tape. again: a symbol that counts more kernels like those noted now; made: new tensors."""

    notes: list[Note] = field(default_factory=list)
    phase: WorkPhase = "forward"
    again: str = ""
    made: list[tuple[Shape, str]] = field(default_factory=list)

    def note(
        self,
        kind: Kind,
        dtype: str,
        moved: Moved,
        products: Sequence[Product] = (),
        count: int = 1,
        skips: bool = False,
    ) -> None:
        """One kernel."""
        self.notes.append((kind, self.phase, dtype, products, moved, count, self.again, skips))

    def product(self, dtype: str, moved: Moved, batch: Shape, m: Shape, n: Shape, k: Shape, count: int = 1) -> None:
        """One matrix product, [m, k] times [k, n], for each of a batch."""
        self.note("matmul", dtype, moved, ((batch, m, n, k),), count)

    def moves(self, *values: Value) -> None:
        """An elementwise kernel that reads or writes all of these."""
        self.note("elementwise", values[-1].dtype, whole(*values))

    def backward(self, kind: Kind, grads: Iterable[Value | None], saved: Sequence[Value | None], outputs: int) -> None:
        """What a backward function has made that notes nothing itself: temporaries first, then a kernel an output."""
        made, self.made = self.made, []
        if not made:
            return
        given = [(grad.shape, grad.dtype) for grad in grads if grad is not None]
        kept = [(value.shape, value.dtype) for value in saved if value is not None]
        if len(made) == 1:
            self.note(kind, made[0][1], (*given, *kept, made[0]))
            return
        temporaries = made[: max(len(made) - outputs, 0)]
        for like in temporaries:
            self.note("elementwise", like[1], (like, like))
        results = made[len(temporaries) :]
        if kind != "elementwise" or len(results) < 2:
            self.note(kind, made[-1][1], (*given, *kept, *results))
            return
        for at, result in enumerate(results):
            self.note(kind, result[1], (*given, *kept[at : at + 1], result))

    def cut(self) -> Noted:
        """What has been noted so far; nothing is left."""
        done, self.notes = Noted(tuple(self.notes)), []
        return done
