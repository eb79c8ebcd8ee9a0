"""Loads as sums of products of batch and length, made once for a model, a method and a structure of its step.

Kernels are many and the symbols that depend on batch and length are few: all other sizes are put in once, and what is
left is a dozen products with one coefficient for each sum. Equal to load_of(step_work(...)), which is the definition.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from planner.memory.dims import DIVISORS, Dims, Number, at_most, value
from planner.memory.kernels import Kernel, Polynomial
from planner.memory.layout import Laid, Layout, layer_dims, whole_dims
from planner.memory.live import Monomial
from planner.memory.work import step_work
from planner.prepare import Prepared
from planner.schema import PROMPT_METHODS, PlanRequest
from planner.throughput.load import COUNTED, Load, load_of

#: Batches and lengths at which symbols are looked at: those that differ depend on them.
_PROBES = ((2, 515), (3, 1030), (7, 4123))

#: What a coefficient is added to: kind, dtype and one of the fields of Operations, or kind, "" and "bytes" or "calls".
Slot = tuple[str, str, str]
Sums = dict[Monomial, dict[Slot, float]]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of layer, or the model around them: coefficients by product of symbols; laid None: around."""

    laid: Laid | None
    terms: tuple[tuple[Monomial, tuple[tuple[Slot, float], ...]], ...]


def step_load(prepared: Prepared, request: PlanRequest, batch: Number, length: Number) -> Load:
    """The load of one micro-batch on one device, at a batch and length or arrays of them of one structure."""
    if not _is_plain(request):
        return load_of(step_work(prepared, request, batch, length))
    layout = prepared.layout(batch, length, request.gradient_accumulation_steps > 1)
    architecture, storage = prepared.model.architecture, prepared.setup.storage
    dims = whole_dims(request, architecture, _wide(batch), _wide(length))
    dims["weight_bits"] = storage.bits if storage is not None else 0
    load = Load()
    for part in _compiled(_Same(layout, prepared)):
        _add(load, part, dims if part.laid is None else layer_dims(request, part.laid, dims, _wide(length)))
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
    seen = _seen_share(dims) if part.laid is not None else 1.0
    for monomial, coefficients in part.terms:
        size = value(monomial, dims)
        for (kind, dtype, name), coefficient in coefficients:
            amount = coefficient * size
            if kind == "":
                setattr(load, name, getattr(load, name) + amount)
            elif dtype == "":
                of_kind = load.kind(kind)
                setattr(of_kind, name, getattr(of_kind, name) + amount)
            elif name == "skipping":
                operations = load.kind(kind).of(dtype)
                operations.done = operations.done + seen * amount
            else:
                operations = load.kind(kind).of(dtype)
                setattr(operations, name, getattr(operations, name) + amount)


def _seen_share(dims: Dims) -> Number:
    """Of pairs of tokens, those that causal order and a window leave: what kernels that are told of them work on."""
    if "window" not in dims:
        return 1.0  # a layer without attention
    length, window = dims["S_whole"], dims["window"]
    seen = at_most(length, window) if window else length
    pairs = length * seen - seen * (seen - 1) // 2
    return 1 - (1 - pairs / (length * length)) * dims["causal"]


class _Same:
    """A layout and whose it is, equal to itself alone."""

    __slots__ = ("layout", "prepared")

    def __init__(self, layout: Layout, prepared: Prepared):
        self.layout, self.prepared = layout, prepared

    def __hash__(self) -> int:
        return id(self.layout)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.layout is self.layout


@lru_cache(maxsize=1024)
def _compiled(same: _Same) -> tuple[Part, ...]:
    layout, prepared = same.layout, same.prepared
    numbers: dict[int, tuple[Laid, int]] = {}
    for laid, count in (run for stack in layout.stacks for run in stack):
        numbers[id(laid)] = laid, numbers.get(id(laid), (laid, 0))[1] + count
    parts: list[tuple[Laid | None, int, tuple[Kernel, ...]]] = [(None, 1, layout.tape.work.kernels)]
    parts += [(laid, count, laid.tape.work.kernels) for laid, count in numbers.values()]
    return tuple(_part(prepared, laid, count, kernels) for laid, count, kernels in parts)


def _part(prepared: Prepared, laid: Laid | None, layers: int, kernels: tuple[Kernel, ...]) -> Part:
    probes = [_dims(prepared, laid, *probe) for probe in _PROBES]
    fixed = {name: size for name, size in probes[0].items() if all(dims[name] == size for dims in probes)}
    sums: Sums = {}
    for kernel in kernels:
        for slot, polynomial in _asked(kernel):
            for monomial, coefficient in _times(polynomial, kernel):
                left, factor = _put_in(monomial, fixed)
                slots = sums.setdefault(left, {})
                slots[slot] = slots.get(slot, 0.0) + layers * coefficient * factor
    return Part(laid, tuple((monomial, tuple(slots.items())) for monomial, slots in sums.items()))


def _dims(prepared: Prepared, laid: Laid | None, batch: int, length: int) -> Dims:
    storage = prepared.setup.storage
    dims = whole_dims(prepared.request, prepared.model.architecture, batch, length)
    dims["weight_bits"] = storage.bits if storage is not None else 0
    return dims if laid is None else layer_dims(prepared.request, laid, dims, length)


def _asked(kernel: Kernel) -> Iterator[tuple[Slot, Polynomial]]:
    """What a call adds, and to what."""
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


def _times(polynomial: Polynomial, kernel: Kernel) -> Iterator[tuple[Monomial, int]]:
    """The polynomial as often as there are such calls."""
    for monomial, coefficient in polynomial:
        if kernel.count:
            yield monomial, coefficient * kernel.count
        for symbol, number in kernel.again:
            yield (*monomial, symbol), coefficient * number


def _put_in(monomial: Monomial, fixed: Dims) -> tuple[Monomial, float]:
    """The symbols that depend on batch and length, and the product of the others; with a divisor, all stay."""
    if any(symbol in DIVISORS for symbol in monomial):
        return monomial, 1.0
    factor: float = 1
    for symbol in monomial:
        factor *= fixed.get(symbol, 1)
    return tuple(symbol for symbol in monomial if symbol not in fixed), factor
