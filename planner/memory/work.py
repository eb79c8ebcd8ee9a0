"""The kernels of one training step: operations and bytes, from the same tape that memory comes from.

Evaluated for whole numbers, or for numpy arrays of batches and lengths that share a regime (planner/grid.py); with
arrays all figures are float64, as the operations of a large grid leave 64 bits.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from planner.architecture.blocks import Architecture
from planner.memory.dims import Dims, Number, at_most
from planner.memory.evaluated import Sizes
from planner.memory.inventory import Setup
from planner.memory.kernels import Counted, Noted, Polynomial, WorkPhase
from planner.memory.layout import Laid, Layout, layer_dims, whole_dims
from planner.memory.live import ITEMSIZE, Kind
from planner.memory.method_work import extra_products
from planner.memory.model_parallel import device_dims
from planner.memory.moments import Static
from planner.parallelism import ParallelismSettings, data_parallel_size
from planner.schema import PlanRequest


class _Model(Protocol):
    @property
    def architecture(self) -> Architecture: ...


class Prepared(Protocol):
    """What is needed of planner.prepare.Prepared."""

    @property
    def model(self) -> _Model: ...
    @property
    def setup(self) -> Setup: ...
    @property
    def static(self) -> Static: ...
    def layout(self, batch: Number, length: Number, gradients_exist: bool) -> Layout: ...


@dataclass(frozen=True, slots=True)
class Work:
    """Kernels alike of one micro-batch on one device: flops and bytes of ONE call, and how many calls.

    dtype: of the operands of a product, else of the output. bytes: read and written. m, n, k: of one matrix product;
    a batch of b products has flops = 2 b m n k. masked_flops: of `flops`, those on pairs of tokens that causal order
    or a window excludes, where the kernel is told of it: flash attention leaves them out.
    """

    kind: Kind
    phase: WorkPhase
    dtype: str
    flops: Number
    bytes: Number
    count: Number
    m: Number | None = None
    n: Number | None = None
    k: Number | None = None
    masked_flops: Number = 0


def step_work(prepared: Prepared, request: PlanRequest, batch: Number, length: Number) -> tuple[Work, ...]:
    """The kernels of ONE micro-batch's forward and backward on ONE device, equal ones of each kind of layer together.

    Of pipeline stages it is the last one, which has the head. The optimizer step and communication are not in it.
    """
    layout = _layout(prepared, request, batch, length)
    found: list[Work] = []
    for noted, count, dims in _parts(layout, prepared, request, batch, length):
        values = _Values(device_dims(request, dims))
        found += (_work(counted, count, values) for counted in noted.kernels)
    return (*found, *_of_method(prepared, request))


def step_flops(prepared: Prepared, request: PlanRequest, batch: Number, length: Number) -> Number:
    """Operations of one optimizer step, of all devices together: matrix products, attention and convolutions.

    As torch 2.13 torch/utils/flop_counter.py counts them: 2 m n k, recomputation too, causal attention as full; times
    gradient_accumulation_steps and the devices with batches of their own. What tensor parallel computes on several
    devices alike counts once. Left out: what is element by element, and the optimizer's step.
    """
    layout = _layout(prepared, request, batch, length)
    whole = request.model_copy(update={"parallelism": ParallelismSettings()})
    total: Number = sum(work.count * work.flops for work in _of_method(prepared, request))
    for noted, count, dims in _parts(layout, prepared, whole, batch, length):
        total = total + count * _evaluated(noted.flops, Sizes(dims))
    return total * request.gradient_accumulation_steps * data_parallel_size(request)


def _layout(prepared: Prepared, request: PlanRequest, batch: Number, length: Number) -> Layout:
    return prepared.layout(batch, length, request.gradient_accumulation_steps > 1)


def _parts(
    layout: Layout, prepared: Prepared, request: PlanRequest, batch: Number, length: Number
) -> Iterator[tuple[Noted, int, Dims]]:
    """Every kind of layer and the model around them: what they run, how often, and their sizes undivided."""
    batch, length = _wide(batch), _wide(length)
    prefix = request.virtual_tokens if request.method == "prefix_tuning" else 0
    own = length + request.virtual_tokens - prefix
    storage = prepared.setup.storage
    dims = whole_dims(request, prepared.model.architecture, batch, own)
    dims |= {"S_whole": own + prefix, "weight_bits": storage.bits if storage is not None else 0}
    yield layout.tape.work, 1, dims
    for laid, count in _own_layers(layout, request):
        yield laid.tape.work, count, layer_dims(request, laid, dims, own)


def _wide(number: Number) -> Number:
    return number if isinstance(number, int) else number.astype("float64")


def _own_layers(layout: Layout, request: PlanRequest) -> Iterator[tuple[Laid, int]]:
    """Every kind of layer and how many there are; of pipeline stages those of the last."""
    runs = [run for stack in layout.stacks for run in stack]
    left = -(-sum(count for _, count in runs) // request.parallelism.pipeline_parallel_size)
    numbers: dict[int, int] = {}
    kinds = {id(laid): laid for laid, _ in runs}
    for laid, count in reversed(runs):
        taken = min(count, left)
        left -= taken
        numbers[id(laid)] = numbers.get(id(laid), 0) + taken
    return ((kinds[key], number) for key, number in numbers.items() if number)


class _Values:
    """What symbols stand for: in products each device has its part of a width, and whole sequences of tokens."""

    __slots__ = ("dims", "moved", "multiplied")

    def __init__(self, dims: Dims):
        self.dims, self.moved = dims, Sizes(dims)
        gathered = {name: size for name, size in dims.items() if name != "sequence_split"}
        self.multiplied = Sizes(gathered) if "sequence_split" in dims else self.moved


def _work(counted: Counted, layers: int, values: _Values) -> Work:
    kernel, number, again = counted
    flops = _evaluated(kernel.flops, values.multiplied)
    m, n, k = (_evaluated((size,), values.multiplied) for size in kernel.sizes) if kernel.sizes else (None, None, None)
    return Work(
        kernel.kind,
        kernel.phase,
        kernel.dtype,
        flops,
        _evaluated(kernel.bytes, values.multiplied if kernel.flops else values.moved),
        layers * (number + sum(more * values.dims[symbol] for symbol, more in again)),
        m,
        n,
        k,
        _masked(flops, values.dims) if kernel.skips else 0,
    )


def _evaluated(polynomial: Polynomial, sizes: Sizes) -> Number:
    total: Number = 0
    for monomial, coefficient in polynomial:
        total = total + coefficient * sizes[monomial]
    return total


def _masked(flops: Number, dims: Dims) -> Number:
    """The part of `flops` on pairs that a query does not see: of length S, a window of W leaves S W - W (W - 1) / 2."""
    length, window = dims["S_whole"], dims["window"]
    seen = at_most(length, window) if window else length
    pairs = length * seen - seen * (seen - 1) // 2
    return (flops - flops * pairs // (length * length)) * dims["causal"]


def _of_method(prepared: Prepared, request: PlanRequest) -> tuple[Work, ...]:
    """What the method adds outside the layers."""
    found = []
    for phase, m, n, k, count in extra_products(request, prepared.static.items):
        moved = ITEMSIZE["float32"] * (m * n + m * k + n * k)
        found.append(Work("matmul", phase, "float32", 2 * m * n * k, moved, count, m, n, k))
    return tuple(found)
