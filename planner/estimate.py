"""The estimate: one request to one plan."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from planner.answer import CATEGORIES, Certainty, Phase, Plan, Term, Verdict
from planner.architecture.blocks import Architecture
from planner.architecture.read import read_architecture
from planner.catalog import find_gpu, resolve_config
from planner.catalog.rows.gpu import GpuRow
from planner.errors import RequestError
from planner.memory import ledger
from planner.memory.inventory import Setup, inventory, resolve_setup
from planner.memory.layers import activation_certainty
from planner.memory.runtime import DeviceBytes, cublas_workspace_bytes, device_bytes, oom_probability
from planner.memory.step import build_step
from planner.schema import SCHEMA_VERSION, PlanRequest


@lru_cache(maxsize=1)
def tool_version() -> str:
    """The version of this program."""
    try:
        return version("tunebudget")
    except PackageNotFoundError:
        return "0.1.0"


@dataclass(frozen=True, slots=True)
class Model:
    """The model a request names: its display name and architecture."""

    name: str
    architecture: Architecture


@lru_cache(maxsize=512)
def _catalogue_model(model: str) -> Model:
    name, config, _ = resolve_config(model)
    return Model(name, read_architecture(config, name))


def load_model(request: PlanRequest) -> Model:
    """The request's model, from the catalogue, a file, or the config it carries.

    Raises UnknownModelError or ArchitectureError, naming the field.
    """
    if isinstance(request.model, str):
        return _catalogue_model(request.model)
    config = dict(request.model)
    return Model(str(config.get("_name_or_path") or config.get("model_type")), read_architecture(config))


@dataclass(slots=True)
class Memory:
    """The memory of one step, before it is written down as a plan."""

    model: Model
    setup: Setup
    static: ledger.Static
    moments: list[ledger.Moment]
    peak: ledger.Moment
    certainty: Certainty
    device: DeviceBytes
    constant: int
    gpu: GpuRow | None


def compute_memory(request: PlanRequest) -> Memory:
    """All sums of the step, and its peak.

    Raises PlannerError where the request cannot be planned.
    """
    model = load_model(request)
    architecture = model.architecture
    check(request, architecture)
    gpu = find_gpu(request.gpu) if request.gpu is not None else None
    setup = resolve_setup(request, architecture)
    static = ledger.static_bytes(request, architecture, inventory(request, architecture, setup), setup)
    accumulating = request.gradient_accumulation_steps > 1
    batch, length = request.per_device_train_batch_size, request.max_length
    step = build_step(request, architecture, setup, batch, length, accumulating)
    constant = cublas_workspace_bytes(_capability(gpu)) if request.device == "cuda" else 0
    moments = ledger.moments(static, step, accumulating, constant)
    peak = max(moments, key=lambda m: m.total)
    certainty = activation_certainty(request, architecture) if request.num_gpus == 1 else "modelled"
    on_device = device_bytes(peak.total, request.device, certainty)
    return Memory(model, setup, static, moments, peak, certainty, on_device, constant, gpu)


def _capability(gpu: GpuRow | None) -> float | None:
    """NVIDIA's compute capability as a number; None for other vendors and unnamed cards."""
    if gpu is None or gpu.vendor != "nvidia" or gpu.compute_capability is None:
        return None
    return float(gpu.compute_capability)


def check(request: PlanRequest, architecture: Architecture) -> None:
    """Rules that need the architecture.

    Raises RequestError for a sequence longer than a table of learned positions.
    """
    limit = learned_positions(architecture)
    if limit is not None and request.max_length > limit:
        raise RequestError(
            f"max_length {request.max_length}: this {architecture.model_type} has learned positions for "
            f"{limit} tokens: use max_length <= {limit}",
            "max_length",
        )


#: Rows of a table of learned positions that no token uses: OPT and RoBERTa count from their padding index.
_POSITION_OFFSETS = {"opt": 2, "roberta": 2}


def learned_positions(architecture: Architecture) -> int | None:
    """Tokens that a table of learned positions has room for; None for models without one (rotary, alibi ...)."""
    tables = [t for t in architecture.tensors if t.role == "position" and "vision" not in t.name and "visual" not in t.name]
    if not tables:
        return None
    return tables[0].shape[-2] - _POSITION_OFFSETS.get(architecture.model_type, 0)


def estimate(request: PlanRequest) -> Plan:
    """The whole estimate of one training run.

    Raises PlannerError, with the field it is about, where the request cannot be planned.
    """
    memory = compute_memory(request)
    static, peak, device = memory.static, memory.peak, memory.device
    live = ledger.by_category(peak, static, device.runtime)
    values: dict[str, Any] = {
        "id": request.id,
        "schema_version": SCHEMA_VERSION,
        "tool_version": tool_version(),
        "model": memory.model.name,
        "method": request.method,
        "total_params": sum(i.elements for i in static.items if i.role != "buffer"),
        "trainable_params": sum(i.elements for i in static.items if i.trainable),
        "peak_bytes": peak.total,
        "steady_bytes": static.weights_in_use + static.states.total + memory.constant + static.buckets,
        "reserved_bytes": device.reserved,
        "device_bytes": device.device,
        "peak_phase": peak.phase,
        "low_bytes": device.low,
        "high_bytes": device.high,
        "certainty": memory.certainty,
        "terms": _terms(memory),
        "timeline": ledger.timeline(memory.moments, static, device.runtime),
        "notes": tuple(_notes(request, memory)),
    }
    values |= {f"{category}_bytes": live[category] for category in CATEGORIES}
    return Plan(**values, **_verdict(memory), **_elsewhere(memory))


def needed_bytes(memory: Memory) -> int:
    """What must stay on the card: paged optimizer states can leave it."""
    return memory.device.device - memory.static.states.paged


def verdict(memory: Memory) -> Verdict | None:
    """fits, tight (the band crosses what the card offers) or does not fit; None without a card."""
    if memory.gpu is None:
        return None
    usable, paged = memory.gpu.usable_bytes, memory.static.states.paged
    if memory.device.high - paged <= usable:
        return "fits"
    return "tight" if memory.device.low - paged <= usable else "does not fit"


def _verdict(memory: Memory) -> dict[str, Any]:
    if memory.gpu is None:
        return {}
    usable = memory.gpu.usable_bytes
    return {
        "gpu": memory.gpu.key,
        "verdict": verdict(memory),
        "usable_bytes": usable,
        "headroom_bytes": usable - needed_bytes(memory),
        "oom_probability": oom_probability(needed_bytes(memory), usable, memory.certainty),
    }


#: save_pretrained's default shard size (transformers 5.23 modeling_utils.py): one shard is in host memory at a time.
MAX_SHARD_BYTES = 5 * 10**9


def _elsewhere(memory: Memory) -> dict[str, int]:
    """Host memory while loading, disk for the checkpoint, and the size of what is saved."""
    items, static = memory.static.items, memory.static
    checkpoint = 2 * memory.model.architecture.num_params
    trained = sum(i.elements * (4 if i.dtype == "float32" else 2) for i in items if i.trainable)
    return {
        "host_bytes": min(checkpoint, MAX_SHARD_BYTES) + static.states.paged,
        "disk_bytes": checkpoint + trained + static.states.total,
        "adapter_bytes": trained,
    }


_RUNTIME_SOURCE = "planner/memory/runtime.py: pytorch issue 109888, stas00 ml-engineering debug/pytorch.md"


def _terms(memory: Memory) -> tuple[Term, ...]:
    static, peak = memory.static, memory.peak
    terms = ledger.static_terms(static, peak)
    terms += ledger.activation_terms(peak, memory.model.architecture, memory.certainty)
    if memory.constant:
        source = "torch 2.13 CublasHandlePool.cpp parseChosenWorkspaceSize"
        terms.append(_constant("cuBLAS workspace", "workspace", memory.constant, "forward", source))
    if static.buckets:
        source = "torch 2.13 nn/parallel/distributed.py, gradient_as_bucket_view=False"
        terms.append(_constant("DDP gradient buckets", "workspace", static.buckets, "loaded", source))
    extra = peak.workspace - memory.constant - static.buckets
    if extra and peak.phase != "optimizer_step":
        source = "torch 2.13 distributed/fsdp/_fully_shard"
        terms.append(_constant("gathered parameters", "workspace", extra, "forward", source))
    elif extra:
        terms.append(_constant("optimizer step temporaries", "workspace", extra, "optimizer_step", static.optimizer.source))
    if memory.device.runtime:
        terms.append(_constant("CUDA context", "runtime", memory.device.runtime, "loaded", _RUNTIME_SOURCE))
    order = {category: i for i, category in enumerate(CATEGORIES)}
    return tuple(sorted((t for t in terms if t.bytes), key=lambda t: (order[t.category], -t.bytes)))


def _constant(name: str, category: str, num_bytes: int, born: Phase, source: str) -> Term:
    return Term(
        name=name,
        category=category,  # type: ignore[arg-type]
        bytes=num_bytes,
        formula="constant",
        inputs={},
        born=born,
        freed="optimizer_step" if born == "optimizer_step" else "between_steps",
        source=source,
        certainty="modelled",
    )


def _notes(request: PlanRequest, memory: Memory) -> list[str]:
    architecture, notes = memory.model.architecture, []
    if request.num_gpus > 1:
        notes.append(f"bytes are those of one of {request.num_gpus} devices; {request.parallelism.strategy} is modelled")
    if activation_certainty(request, architecture) != "exact":
        notes.append(f"activations of {architecture.model_type} are modelled, not followed operation by operation")
    paged = memory.static.states.paged
    if paged and request.device == "cuda":
        notes.append(f"{paged} bytes of paged optimizer states can leave the card and are not held against it")
    limit = architecture.config.get("max_position_embeddings")
    if isinstance(limit, int) and request.max_length > limit:
        notes.append(f"max_length {request.max_length} exceeds the model's max_position_embeddings of {limit}")
    quantization = request.quantization_settings
    if quantization is not None and quantization.upcast_unquantized:
        notes.append(
            "prepare_model_for_kbit_training holds embeddings, head and norms in float32; "
            "stacks that skip it need less (quantization.upcast_unquantized: false)"
        )
    return notes
