"""The estimate: one request to one plan."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from planner import __version__
from planner.answer import CATEGORIES, Certainty, Plan, Verdict
from planner.catalog import find_gpu
from planner.catalog.rows.gpu import GpuRow
from planner.cost.fields import Speed, money_fields
from planner.identity import Same
from planner.memory import ledger
from planner.memory.band import Band, band_for
from planner.memory.counts import counts_of
from planner.memory.dims import Number, at_most, larger
from planner.memory.inventory import Setup
from planner.memory.layers import activation_certainty
from planner.memory.model_parallel import device_length
from planner.memory.moments import Moment, Static, by_category, moments, timeline
from planner.memory.pipeline import staged
from planner.memory.reserved import Blocks, blocks_of, cached_bytes, kind_of
from planner.memory.runtime import DeviceBytes, batch_bytes, context_bytes, cublas_workspace_bytes, device_bytes
from planner.memory.sharding import buffers_at
from planner.memory.work import step_flops
from planner.notes import notes_of, unquantized_experts
from planner.prepare import Prepared, prepare
from planner.resolve import Model, check
from planner.schema import SCHEMA_VERSION, PlanRequest
from planner.throughput.answer import StepTime
from planner.throughput.fields import time_fields


@dataclass(slots=True)
class Memory:
    """The memory of one step, before it is written down as a plan."""

    request: PlanRequest
    filled: tuple[str, ...]
    model: Model
    setup: Setup
    static: Static
    moments: list[Moment]
    peak: Moment
    certainty: Certainty
    band: Band
    device: DeviceBytes
    cublas: int
    batch: int
    gpu: GpuRow | None
    host: int
    prepared: Prepared
    offloaded: int


def certainty_of(request: PlanRequest, prepared: Prepared, static: Static) -> Certainty:
    """The least certain of the answer's parts.

    On cards, a request that names no stack leaves open whether a quantized base's experts are quantized (transformers 4
    kept them as linears, 5 keeps stacks that bitsandbytes passes by): only measured runs say how far that is off.
    """
    is_open = request.device == "cuda" and not request.names_stack
    if is_open and request.quantization_settings is not None and unquantized_experts(static):
        return "fitted"
    if request.num_gpus > 1:
        return "modelled"
    return activation_certainty(prepared.setup.loss, request.method, prepared.model.architecture)


@dataclass(frozen=True, slots=True)
class Resident:
    """Bytes live whatever the batch is: while the step runs forward and backward, and in the optimizer step."""

    static: Static
    running: int
    optimizer_step: int

    def held(self, at: str) -> int:
        """Bytes of the buffers that are live at a moment besides."""
        return buffers_at(self.static.buffers, at)


def resident_bytes(request: PlanRequest, static: Static) -> Resident:
    """What every moment of the step has in common but the cuBLAS workspace, which depends on the card."""
    always = static.weights + static.states.total
    held = static.accumulated if request.gradient_accumulation_steps > 1 else 0
    in_step = static.gradients + static.step_workspace + buffers_at(static.buffers, "optimizer_step")
    return Resident(static, always + held, always + in_step)


@dataclass(frozen=True, slots=True)
class _Run:
    """The stage of a step that needs most: its static bytes, moments and blocks, and what it keeps on the host."""

    static: Static
    moments: list[Moment]
    peak: Moment
    blocks: Blocks
    offloaded: int


@lru_cache(maxsize=256)
def _run(its_prepared: Same[Prepared], batch: int, length: int, micro_batches: int, constant: int) -> _Run:
    """A step at these sizes, whatever the card; kept, as many cards are asked about in turn."""
    prepared, accumulating = its_prepared.of, micro_batches > 1
    step = prepared.step(batch, length, accumulating)
    request = prepared.request.model_copy(update={"gradient_accumulation_steps": micro_batches})
    answers = []
    for stage, static in prepared.stages:
        own_step = staged(step, stage, request)
        found = moments(static, own_step, accumulating, constant)
        answers.append((max(found, key=lambda m: m.total), found, static, own_step))
    peak, found, static, own_step = max(answers, key=lambda answer: answer[0].total)
    return _Run(static, found, peak, blocks_of(own_step, static, constant, accumulating), own_step.on_host)


def compute_memory(request: PlanRequest) -> Memory:
    """All sums of the step, and its peak.

    Raises PlannerError where the request cannot be planned.
    """
    stacked, prepared = prepare(request)
    request, model, setup = stacked.request, prepared.model, prepared.setup
    architecture = model.architecture
    check(request, architecture)
    gpu = find_gpu(request.gpu) if request.gpu is not None else None
    batch, length = request.per_device_train_batch_size, request.max_length + request.virtual_tokens
    cublas = cublas_workspace_bytes(capability(gpu)) if request.device == "cuda" else 0
    own = device_length(request, length)
    ids = batch_bytes(request.device, architecture.model_type, request.padding == "padded", batch, own)
    run = _run(Same(prepared), batch, length, request.gradient_accumulation_steps, cublas + ids)
    static = run.static
    certainty = certainty_of(request, prepared, static)
    band = band_for(request, certainty)
    cached = cached_bytes(run.blocks, kind_of(request, setup), run.peak.total)
    usable, context = gpu.usable_bytes if gpu is not None else None, context_bytes(capability(gpu))
    on_device = device_bytes(run.peak.total, cached, request, band, usable, context)
    return Memory(
        request,
        stacked.filled,
        model,
        setup,
        static,
        run.moments,
        run.peak,
        certainty,
        band,
        on_device,
        cublas,
        ids,
        gpu,
        static.host_bytes + run.offloaded,
        prepared,
        run.offloaded,
    )


def capability(gpu: GpuRow | None) -> float | None:
    """NVIDIA's compute capability as a number; None for other vendors and unnamed cards."""
    if gpu is None or gpu.vendor != "nvidia" or gpu.compute_capability is None:
        return None
    return float(gpu.compute_capability)


def estimate(request: PlanRequest) -> Plan:
    """The whole estimate of one training run.

    Raises PlannerError, with the field it is about, where the request cannot be planned.
    """
    memory = compute_memory(request)
    request = memory.request
    static, peak, device = memory.static, memory.peak, memory.device
    counts = counts_of(Same(static), request.device)
    live = by_category(peak, static, device.runtime)
    values: dict[str, Any] = {
        "id": request.id,
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "model": memory.model.name,
        "method": request.method,
        "total_params": counts.total_params,
        "trainable_params": counts.trainable_params,
        "peak_bytes": peak.total,
        "steady_bytes": static.between - static.weights + static.weights_in_use + memory.cublas + memory.batch,
        "reserved_bytes": device.reserved,
        "device_bytes": device.device,
        "needed_bytes": device.needed,
        "peak_phase": peak.phase,
        "low_bytes": device.low,
        "high_bytes": device.high,
        "certainty": memory.certainty,
        "flops_per_step": step_flops(memory.prepared, request, request.per_device_train_batch_size, request.max_length),
        "terms": ledger.peak_terms(
            static, peak, memory.model.architecture, memory.certainty, memory.cublas, memory.batch, device
        ),
        "timeline": timeline(memory.moments, static, device.runtime),
    }
    values |= {f"{category}_bytes": live[category] for category in CATEGORIES}
    states = static.states
    values |= disk_and_host(
        memory.model.architecture.num_params, counts.trained_bytes, counts.states_bytes, states.paged
    )
    values["host_bytes"] += _on_host(memory)
    values |= verdict_fields(memory.gpu, memory.band, device, states.paged)
    timed, doubts = _time_and_money(memory, values["flops_per_step"], values.get("verdict"))
    values["notes"] = (*notes_of(request, memory.filled, memory.model, memory.setup, static), *doubts)
    return Plan(**(values | timed))


#: What a plan says where it has a time but no memory for it.
DOES_NOT_FIT_NOTE = "it does not fit: time and cost are what they would be on such cards with enough memory"


def _time_and_money(memory: Memory, flops: Number, judged: Verdict | None) -> tuple[dict[str, Any], list[str]]:
    """The plan's fields of them and what is to be said; flops: of the step on all devices."""
    request, gpu = memory.request, memory.gpu
    time, timed, doubts = time_fields(request, gpu, memory.offloaded, _paged_out(memory), flops)
    money, said = money_fields(request, gpu, speed_of(time) if time else None)
    unreal = [DOES_NOT_FIT_NOTE] if timed and judged == "does not fit" else []
    return timed | money, [*doubts, *said, *unreal]


def speed_of(time: StepTime) -> Speed:
    """Tokens a second of all devices, with the band's ends."""
    tokens = time.tokens_per_second * time.expected_seconds
    return Speed(time.tokens_per_second, slow=tokens / time.high_seconds, fast=tokens / time.low_seconds)


def _paged_out(memory: Memory) -> int:
    if memory.gpu is None:
        return 0
    return int(paged_out(memory.device.device, memory.gpu.usable_bytes, memory.static.states.paged))


def paged_out(device: Number, usable: Number, paged: Number) -> Number:
    """Paged optimizer states that do not fit on the card; all in bytes, element by element for arrays."""
    return at_most(larger(device - usable, 0), paged)


def needed_bytes(memory: Memory) -> int:
    """What must stay on the card: paged optimizer states can leave it."""
    needed: int = memory.device.needed - memory.static.states.paged
    return needed


def verdict(memory: Memory) -> Verdict | None:
    """fits, tight (the band crosses what the card offers) or does not fit; None without a card."""
    return _verdict(memory.gpu, memory.device, memory.static.states.paged)


#: By how many ends of the band lie beyond what the card offers.
VERDICTS: tuple[Verdict, ...] = ("fits", "tight", "does not fit")


def verdict_number(usable: Number, device: DeviceBytes, paged: Number) -> Number:
    """Which of VERDICTS it is, element by element for arrays. paged: states that can leave the card."""
    return 0 + (device.needed_high - paged > usable) + (device.needed_low - paged > usable)


def _verdict(gpu: GpuRow | None, device: DeviceBytes, paged: int) -> Verdict | None:
    return None if gpu is None else VERDICTS[verdict_number(gpu.usable_bytes, device, paged)]


def verdict_fields(gpu: GpuRow | None, band: Band, device: DeviceBytes, paged: int) -> dict[str, Any]:
    """The plan's fields about a card; none where there is none. paged: states that can leave the card."""
    if gpu is None:
        return {}
    usable = gpu.usable_bytes
    return {
        "gpu": gpu.key,
        "verdict": _verdict(gpu, device, paged),
        "usable_bytes": usable,
        "headroom_bytes": usable - (device.needed - paged),
        "oom_probability": round(band.chance_above(device.needed, usable + paged), 4),
    }


#: save_pretrained's default shard size (transformers 5.23 modeling_utils.py): one shard is in host memory at a time.
MAX_SHARD_BYTES = 5 * 10**9


def disk_and_host(num_params: int, trained_bytes: int, states_bytes: int, paged: int) -> dict[str, int]:
    """Host memory while loading, disk for the checkpoint, and the size of what is saved."""
    checkpoint = 2 * num_params
    return {
        "host_bytes": min(checkpoint, MAX_SHARD_BYTES) + paged,
        "disk_bytes": checkpoint + trained_bytes + states_bytes,
        "adapter_bytes": trained_bytes,
    }


def _on_host(memory: Memory) -> int:
    """What the devices of one node keep in its memory."""
    return memory.host * memory.request.num_gpus // memory.request.num_nodes
