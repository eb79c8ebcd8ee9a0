"""The time of one optimizer step: micro-batches on the card or waiting for the host, exchange, update.

Everything is arithmetic on numbers or arrays: batch and length may be arrays, and so may a card's rates.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from planner.memory.dims import Number, larger
from planner.memory.model_parallel import device_length
from planner.memory.work import step_flops
from planner.parallelism import DEEPSPEED, data_parallel_size
from planner.prepare import Prepared
from planner.schema import PlanRequest
from planner.throughput.answer import Part, StepTime
from planner.throughput.band import speed_band
from planner.throughput.compiled import step_load
from planner.throughput.constants import Constants, constants
from planner.throughput.exchange import Exchange, across_seconds, exchange_of, model_parallel_seconds, ring_seconds
from planner.throughput.load import Load
from planner.throughput.offload import offload_seconds
from planner.throughput.optimizer_step import Update, update_of
from planner.throughput.rates import Rates

_ROOFLINE = "roofline (Williams et al. 2009), its terms added"
_FITTED = "data/throughput/constants.csv"


@dataclass(frozen=True, slots=True)
class Asked:
    """A step put to the clock, apart from cards: its load, what devices exchange, its update.

    batch, length: numbers or arrays. flops: of all devices, recomputed ones too. handled: parameters that DeepSpeed's
    Python handles in a micro-batch. offloaded_bytes: what a micro-batch keeps on the host; paged_bytes: optimizer
    states that leave the card.
    """

    request: PlanRequest
    prepared: Prepared
    batch: Number
    length: Number
    load: Load
    exchange: Exchange
    update: Update
    handled: int
    flops: Number
    offloaded_bytes: Number = 0
    paged_bytes: Number = 0

    @property
    def device_tokens(self) -> Number:
        """Tokens of a micro-batch that one device works on."""
        return self.batch * device_length(self.request, self.length)

    @property
    def step_tokens(self) -> Number:
        """Tokens of a step on all devices."""
        devices = data_parallel_size(self.request)
        return self.batch * self.length * self.request.gradient_accumulation_steps * devices


def ask(request: PlanRequest, prepared: Prepared, batch: Number, length: Number, flops: Number | None = None) -> Asked:
    """The step of a request at a batch and length or arrays of them; flops: of all devices, where they are known."""
    return Asked(
        request,
        prepared,
        batch,
        length,
        step_load(prepared, request, batch, length),
        exchange_of(request, prepared),
        update_of(request, prepared.static),
        _handled(request, prepared),
        step_flops(prepared, request, batch, length) if flops is None else flops,
    )


def step_time(asked: Asked, rates: Rates, c: Constants | None = None) -> StepTime:
    """The time of a step on cards of these rates."""
    request, load = asked.request, asked.load
    c = c or constants()
    if not request.parallelism.overlap_comm:
        c = replace(c, overlap_share=0.0)
    parts = tuple(_parts(asked, rates, c))
    seconds = sum(part.seconds for part in parts)
    flops = asked.flops
    again = flops * (load.recomputed_flops / load.flops)
    possible = rates.peak_flops * request.num_gpus * seconds
    low, high = speed_band(request, seconds)
    return StepTime(
        low_seconds=low,
        expected_seconds=seconds,
        high_seconds=high,
        parts=parts,
        tokens_per_second=asked.step_tokens / seconds,
        flops=flops,
        mfu=(flops - again) / possible,
        hfu=flops / possible,
    )


_NAMES = {
    "matmul": "matrix products",
    "attention": "attention",
    "elementwise": "elementwise operations",
    "norm": "norms",
    "softmax": "softmax",
    "embedding": "embeddings",
    "loss": "loss",
    "dequantize": "dequantization",
    "convolution": "convolutions",
}


def _parts(asked: Asked, rates: Rates, c: Constants) -> list[Part]:
    """All parts of a step; a micro-batch's as often as there are micro-batches."""
    request, times = asked.request, asked.request.gradient_accumulation_steps
    stages = request.parallelism.pipeline_parallel_size
    parts = _kernels(asked, rates, c)
    calls = asked.load.calls
    on_card = sum(part.seconds for part in parts) / times + calls * c.kernel_seconds
    micro = larger(on_card, calls * c.launch_seconds + asked.handled * c.deepspeed_seconds)
    fill = (stages - 1) * micro
    return [
        *parts,
        Part("kernel starts", times * calls * c.kernel_seconds, "calls x kernel_seconds", _FITTED),
        Part("waiting for the host", times * (micro - on_card), "max(0, calls x launch_seconds - card)", _FITTED),
        *([Part("pipeline bubble", fill, "(stages - 1) x micro-batch", "Narayanan et al. 2021, 2.2.1")] * (stages > 1)),
        *_exchanges(asked, micro, rates, c),
        *_update(asked, rates, c),
        *offload_seconds(request, asked.prepared, asked.offloaded_bytes, asked.paged_bytes, rates, c),
        Part("host, each step", c.step_seconds, "step_seconds", _FITTED),
    ]


#: Kinds whose kernels read what the one before has just written.
_IN_TURN = ("elementwise", "norm", "softmax")


class Demand(NamedTuple):
    """What kernels ask of a card: bytes over the share of bandwidth that they reach, and operations by their rate.

    in_turn: of the bytes, those of kernels that may find what they read in the cache.
    """

    bytes: Number
    in_turn: Number
    operations: dict[str, Number]


def _kernels(asked: Asked, rates: Rates, c: Constants) -> list[Part]:
    """A part a kind of kernel; over arrays one for all, since what they ask sums up before it meets a million cards."""
    demands = {_NAMES[kind]: _demand(asked, kind, c) for kind in asked.load.kinds}
    if not isinstance(rates.memory_bytes, float):
        demands = {"kernels": _together(demands.values())}
    times, cached = asked.request.gradient_accumulation_steps, _cached_share(asked.load, rates, c)
    formula = "operations / rate + bytes / bandwidth"
    return [Part(name, times * _seconds(demand, cached, rates), formula, _ROOFLINE) for name, demand in demands.items()]


def _cached_share(load: Load, rates: Rates, c: Constants) -> Number:
    """Of the traffic of kernels that follow each other, what the cache holds: all that stays where a kernel's fits.

    cache / (cache + bytes of a call), smooth as kernels of all sizes are taken together; times what of it can stay.
    """
    kinds = [load.kinds[kind] for kind in _IN_TURN if kind in load.kinds]
    calls = sum(kind.calls for kind in kinds)
    touched = sum(kind.bytes for kind in kinds) / (calls + (calls == 0))
    return c.cache_share * rates.cache_bytes / (rates.cache_bytes + touched + 1)


def _demand(asked: Asked, kind: str, c: Constants) -> Demand:
    one, triton = asked.load.kinds[kind], asked.prepared.model.architecture.model_type == "mpt"
    operations: dict[str, Number] = {}
    for dtype, flops in one.flops.items():
        started = flops.done + c.half_side * flops.over_sides + c.half_depth * flops.over_depth
        if kind == "attention":
            operations[f"attention_{dtype}_flops"] = started / (c.triton_attention_share if triton else 1)
        else:
            operations[f"{dtype}_flops"] = started
    moved = one.bytes / _bytes_share(asked, kind, c)
    return Demand(0, moved, operations) if kind in _IN_TURN else Demand(moved, 0, operations)


def _together(demands: Iterable[Demand]) -> Demand:
    num_bytes: Number = 0
    in_turn: Number = 0
    operations: dict[str, Number] = {}
    for own in demands:
        num_bytes, in_turn = num_bytes + own.bytes, in_turn + own.in_turn
        operations |= {name: operations.get(name, 0) + number for name, number in own.operations.items()}
    return Demand(num_bytes, in_turn, operations)


def _seconds(demand: Demand, cached: Number, rates: Rates) -> Number:
    seconds: Number = (demand.bytes + demand.in_turn * (1 - cached)) / rates.memory_bytes
    for name, number in demand.operations.items():
        seconds = seconds + number / getattr(rates, name)
    return seconds


def _bytes_share(asked: Asked, kind: str, c: Constants) -> float:
    """Of memory bandwidth, over the bytes that a kind's kernels would move one by one."""
    quantization = asked.request.quantization_settings
    if kind == "dequantize" and quantization is not None:
        return c.dequantize_share if quantization.kind.startswith("bnb") else c.unpack_share
    return c.stream_share / _traffic_share(asked, c) if kind in _IN_TURN else c.stream_share


def _traffic_share(asked: Asked, c: Constants) -> float:
    """Of the bytes that kernels would move one by one: as the stack runs them, or as most do where none is named."""
    if not asked.request.names_stack:
        return c.traffic_share
    return c.fused_traffic_share if asked.prepared.setup.fused_kernels else c.plain_traffic_share


def _handled(request: PlanRequest, prepared: Prepared) -> int:
    """Parameters that DeepSpeed's Python handles in a micro-batch: gradients once, in stage 3 weights each pass."""
    if request.parallelism.strategy not in DEEPSPEED:
        return 0
    items = [item for item in prepared.static.items if item.role != "buffer"]
    gradients = sum(item.count for item in items if item.has_gradient)
    if request.parallelism.strategy != "zero3":
        return gradients
    passes = 3 if request.gradient_checkpointing else 2
    return gradients + passes * sum(item.count for item in items)


def _exchanges(asked: Asked, micro: Number, rates: Rates, c: Constants) -> list[Part]:
    request, exchange, parts = asked.request, asked.exchange, []
    times, p = request.gradient_accumulation_steps, request.parallelism
    rings = "max(compute, exchange) + (1 - overlap) x min - compute"
    if exchange.micro_batch_bytes:
        seconds = ring_seconds(exchange.micro_batch_bytes, exchange.micro_batch_calls, request, rates, c)
        seconds = seconds + across_seconds(exchange.across_bytes, request, rates, c)
        parts.append(Part("exchange of weights and gradients", times * _exposed(seconds, micro, c), rings, _FITTED))
    if exchange.step_bytes:
        seconds = ring_seconds(exchange.step_bytes, exchange.step_calls, request, rates, c)
        beside = micro * (2 / 3 if p.strategy == "ddp" else 0)
        parts.append(Part("exchange at the step's end", _exposed(seconds, beside, c), rings, _FITTED))
    if p.model_parallel_size > 1 or p.expert_parallel_size > 1 or p.strategy == "device_map":
        waited = model_parallel_seconds(request, asked.prepared, asked.device_tokens, rates, c)
        parts.append(Part("exchange of activations", times * waited, "bytes / link", "Shoeybi et al. 2019, section 3"))
    return parts


def _exposed(exchange: Number, compute: Number, c: Constants) -> Number:
    """Seconds that an exchange adds to the compute beside it."""
    longer = larger(exchange, compute)
    return longer + (1 - c.overlap_share) * (exchange + compute - longer) - compute


def _update(asked: Asked, rates: Rates, c: Constants) -> list[Part]:
    if asked.request.parallelism.offload_optimizer:
        return []
    on_card = asked.update.bytes / (rates.memory_bytes * c.stream_share)
    seconds = larger(on_card, asked.update.calls * c.launch_seconds)
    return [Part("optimizer step", seconds, "bytes / bandwidth, or its calls", "planner/throughput/optimizer_step.py")]
