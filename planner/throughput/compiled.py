"""Loads as sums of products of batch and length, made once for a model, a method and a structure of its step.

Kernels are many and the symbols that depend on batch and length are few: all other sizes are put in once, and what is
left is a dozen products with one coefficient for each sum. Equal to load_of(step_work(...)), which is the definition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from planner.identity import Same
from planner.memory.dims import DIVISORS, Dims, Number, at_most, value
from planner.memory.kernels import Kernel, Noted, Polynomial
from planner.memory.layout import Laid, Layout, layer_dims, whole_dims
from planner.memory.live import Monomial
from planner.memory.work import step_work
from planner.prepare import Prepared
from planner.schema import PROMPT_METHODS, PlanRequest
from planner.throughput.load import COUNTED, Load, load_of

#: Batches and lengths at which symbols are looked at: those that differ depend on them.
_PROBES = ((2, 515), (3, 1030), (7, 4123))

#: What a number is added to: kind, dtype and one of the fields of Operations, or kind, "" and "bytes" or "calls".
Slot = tuple[str, str, str]
#: Numbers to add, in order: a product of symbols by its place, the coefficient, whether what is masked is left out.
Added = tuple[tuple[int, float, bool], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of layer, or the model around them: products of symbols, and what is added up of them."""

    monomials: tuple[Monomial, ...]
    sums: tuple[tuple[Slot, Added], ...]


def step_load(prepared: Prepared, request: PlanRequest, batch: Number, length: Number) -> Load:
    """The load of one micro-batch on one device, at a batch and length or arrays of them of one structure."""
    if not _is_plain(request):
        return load_of(step_work(prepared, request, batch, length))
    layout = prepared.layout(batch, length, request.gradient_accumulation_steps > 1)
    architecture, storage = prepared.model.architecture, prepared.setup.storage
    dims = whole_dims(request, architecture, _wide(batch), _wide(length))
    dims["weight_bits"] = storage.bits if storage is not None else 0
    load = Load()
    for laid, part in _compiled(Same(layout), Same(prepared)):
        _add(load, part, dims if laid is None else layer_dims(request, laid, dims, _wide(length)))
    return load


def _is_plain(request: PlanRequest) -> bool:
    """Nothing outside the layers, and no layer divided among devices."""
    p = request.parallelism
    divided = p.model_parallel_size > 1 or p.expert_parallel_size > 1
    return not divided and request.method not in (*PROMPT_METHODS, "adalora")


def _wide(number: Number) -> Number:
    return number if isinstance(number, int) else number.astype("float64")


def _add(load: Load, part: Part, dims: Dims) -> None:
    """Put the sizes in."""
    sizes = [value(monomial, dims) for monomial in part.monomials]
    seen: Number = None
    for slot, added in part.sums:
        to, name = _place(load, slot)
        total = getattr(to, name)
        for index, coefficient, skips in added:
            if skips and seen is None:
                seen = _seen_share(dims)
            amount = coefficient * sizes[index]
            total = total + (seen * amount if skips else amount)
        setattr(to, name, total)


def _place(load: Load, slot: Slot) -> tuple[Any, str]:
    kind, dtype, name = slot
    if kind == "":
        return load, name
    return (load.kind(kind).of(dtype) if dtype else load.kind(kind)), name


def _seen_share(dims: Dims) -> Number:
    """Of pairs of tokens, those that causal order and a window leave: what kernels that are told of them work on."""
    if "window" not in dims:
        return 1.0  # a layer without attention
    length, window = dims["S_whole"], dims["window"]
    seen = at_most(length, window) if window else length
    pairs = length * seen - seen * (seen - 1) // 2
    return 1 - (1 - pairs / (length * length)) * dims["causal"]


@lru_cache(maxsize=1024)
def _compiled(its_layout: Same[Layout], its_prepared: Same[Prepared]) -> tuple[tuple[Laid | None, Part], ...]:
    layout, prepared = its_layout.of, its_prepared.of
    numbers: dict[int, tuple[Laid, int]] = {}
    for laid, count in (run for stack in layout.stacks for run in stack):
        numbers[id(laid)] = laid, numbers.get(id(laid), (laid, 0))[1] + count
    probes = [_dims(prepared, *probe) for probe in _PROBES]
    found: list[tuple[Laid | None, Part]] = [(None, _part(layout.tape.work, 1, _fixed(probes)))]
    for laid, count in numbers.values():
        own = [
            layer_dims(prepared.request, laid, dims, length) for dims, (_, length) in zip(probes, _PROBES, strict=True)
        ]
        found.append((laid, _part(laid.tape.work, count, _fixed(own))))
    return tuple(found)


def _fixed(probes: list[Dims]) -> tuple[tuple[str, Number], ...]:
    """The symbols that are the same at every batch and length, with their values."""
    first, *others = probes
    return tuple([item for item in first.items() if all(dims[item[0]] == item[1] for dims in others)])


@lru_cache(maxsize=4096)
def _part(noted: Noted, layers: int, fixed: tuple[tuple[str, Number], ...]) -> Part:
    """What a tape adds up to with these sizes put in."""
    sizes = dict(fixed)
    put_in: dict[Monomial, tuple[Monomial, int]] = {}
    monomials: dict[Monomial, dict[Slot, int]] = {}
    for monomial, slot, coefficient in _totals(noted):
        if monomial not in put_in:
            put_in[monomial] = _put_in(monomial, sizes)
        left, factor = put_in[monomial]
        slots = monomials.setdefault(left, {})
        slots[slot] = slots.get(slot, 0) + coefficient * factor
    sums: dict[Slot, list[tuple[int, float, bool]]] = {}
    for index, slots in enumerate(monomials.values()):
        for (kind, dtype, name), total in slots.items():
            skips = name == "skipping"
            slot = (kind, dtype, "done" if skips else name)
            sums.setdefault(slot, []).append((index, float(layers * total), skips))
    return Part(tuple(monomials), tuple((slot, tuple(added)) for slot, added in sums.items()))


@lru_cache(maxsize=4096)
def _totals(noted: Noted) -> tuple[tuple[Monomial, Slot, int], ...]:
    """What the kernels of a tape add up to, whatever sizes are: coefficients by product of symbols and slot."""
    totals: dict[tuple[Monomial, Slot], int] = {}
    for kernel, count, again in noted.kernels:
        for key, coefficient in _asked(kernel):
            if count:
                totals[key] = totals.get(key, 0) + count * coefficient
            for symbol, number in again:
                more = (*key[0], symbol), key[1]
                totals[more] = totals.get(more, 0) + number * coefficient
    return tuple([(*key, total) for key, total in totals.items()])


def _dims(prepared: Prepared, batch: int, length: int) -> Dims:
    storage = prepared.setup.storage
    dims = whole_dims(prepared.request, prepared.model.architecture, batch, length)
    return dims | {"weight_bits": storage.bits if storage is not None else 0}


@lru_cache(maxsize=2**14)
def _asked(kernel: Kernel) -> tuple[tuple[tuple[Monomial, Slot], int], ...]:
    """What a call adds, and to what."""
    return tuple([((monomial, slot), c) for slot, polynomial in _sums(kernel) for monomial, c in polynomial])


def _sums(kernel: Kernel) -> Iterator[tuple[Slot, Polynomial]]:
    yield (kernel.kind, "", "calls"), (((), 1),)
    yield (kernel.kind, "", "bytes"), kernel.bytes
    if kernel.kind not in COUNTED:
        return
    yield ("", "", "flops"), kernel.flops
    if kernel.phase == "recompute":
        yield ("", "", "recomputed_flops"), kernel.flops
    yield (kernel.kind, kernel.dtype, "skipping" if kernel.skips else "done"), kernel.flops
    if len(kernel.sizes) == 3:
        m, n, k = kernel.sizes
        for size in (m, n):
            yield (kernel.kind, kernel.dtype, "over_sides"), _over(kernel.flops, size)
        yield (kernel.kind, kernel.dtype, "over_depth"), _over(kernel.flops, k)


def _over(flops: Polynomial, size: tuple[Monomial, int]) -> Polynomial:
    """Operations over one of a product's sides: its symbols are among theirs."""
    (monomial, coefficient), (symbols, factor) = flops[0], size
    left = list(monomial)
    for symbol in symbols:
        left.remove(symbol)
    return ((tuple(left), coefficient // factor),)


def _put_in(monomial: Monomial, fixed: Dims) -> tuple[Monomial, int]:
    """The symbols that depend on batch and length, and the product of the others; with a divisor, all stay."""
    if not DIVISORS.keys().isdisjoint(monomial):
        return monomial, 1
    factor = 1
    for symbol in monomial:
        factor *= fixed.get(symbol, 1)
    return tuple([symbol for symbol in monomial if symbol not in fixed]), factor
