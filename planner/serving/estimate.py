"""The estimate of serving: one request to one ledger and its verdict."""

from dataclasses import dataclass
from typing import Any

from planner import __version__
from planner.answer import Verdict
from planner.architecture.blocks import Architecture
from planner.catalog import find_gpu
from planner.catalog.rows.gpu import GpuRow
from planner.estimate import capability
from planner.memory.inventory import Item, Setup
from planner.resolve import Model, load_model
from planner.schema import SCHEMA_VERSION
from planner.serving import cache, weights, workspace
from planner.serving.answer import PARTS, Part, Serving, ServingTerm
from planner.serving.cache import LayerState
from planner.serving.forward import Forward
from planner.serving.request import AdapterGroup, ServeRequest

#: Runtime that is there whatever the engine computes.
_CERTAIN = ("CUDA context", "cuBLAS workspace")


@dataclass(frozen=True, slots=True)
class Held:
    """What of an answer does not depend on the sequences and their length."""

    model: Model
    setup: Setup
    base: tuple[Item, ...]
    adapters: tuple[tuple[AdapterGroup, tuple[Item, ...]], ...]
    states: tuple[LayerState, ...]
    forward: Forward
    gpu: GpuRow | None

    @property
    def architecture(self) -> Architecture:
        return self.model.architecture


def hold(request: ServeRequest) -> Held:
    """Read the model and the card, and what the base and each adapter are.

    Raises PlannerError where the request cannot be answered.
    """
    model = load_model(weights.trained_as(request, None))
    architecture = model.architecture
    states = cache.layer_states(architecture, request.engine)
    cache.check_cache(states, request)
    setup = weights.base_setup(request, architecture)
    base = weights.base_items(request, architecture, setup)
    adapters = tuple((group, weights.adapter_items(request, architecture, group)) for group in request.adapters)
    gpu = None if request.gpu is None else find_gpu(request.gpu)
    return Held(model, setup, base, adapters, states, weights.forward(request, architecture, setup), gpu)


def serving_terms(request: ServeRequest, held: Held) -> tuple[ServingTerm, ...]:
    """The whole ledger."""
    architecture = held.architecture
    cached = [_cache_term(state, request, architecture.model_type) for state in held.states]
    passing = workspace.workspace_terms(request, held.states, held.forward)
    grows = sum(t.bytes for t in cached) if request.engine == "transformers" else 0
    return (
        *weights.base_terms(held.base, held.setup),
        *weights.adapter_terms(held.adapters),
        *cached,
        *workspace.context_terms(capability(held.gpu)),
        *passing,
        workspace.slack_term(sum(t.bytes for t in passing) + grows),
    )


def _cache_term(state: LayerState, request: ServeRequest, model_type: str) -> ServingTerm:
    num_bytes = cache.cache_bytes((state,), request, request.max_num_seqs, request.max_model_len)
    exact = request.engine == "transformers" and request.kv_cache_dtype in ("auto", "fp8")
    return ServingTerm(
        f"cache: {state.name}",
        "cache",
        num_bytes,
        cache.formula(state, request),
        cache.inputs(state, request),
        cache.source(state, request, model_type),
        "exact" if exact else "modelled",
    )


def part_bytes(terms: tuple[ServingTerm, ...]) -> dict[Part, int]:
    """The sum of each part."""
    return {part: sum(t.bytes for t in terms if t.part == part) for part in PARTS}


def certain_bytes(terms: tuple[ServingTerm, ...]) -> int:
    """Without what is modelled of a forward pass and without slack."""
    return sum(t.bytes for t in terms if t.part != "runtime" or t.name in _CERTAIN)


def verdict_of(total: int, certain: int, gpu: GpuRow | None) -> Verdict | None:
    """fits; tight where only workspace and slack do not; does not fit. None without a card."""
    if gpu is None:
        return None
    if total <= gpu.usable_bytes:
        return "fits"
    return "tight" if certain <= gpu.usable_bytes else "does not fit"


def serving(request: ServeRequest) -> Serving:
    """The whole estimate, without the most that fits.

    Raises PlannerError, with the field it is about, where the request cannot be answered.
    """
    return answer(request, hold(request))


def answer(request: ServeRequest, held: Held) -> Serving:
    """The estimate of a request that is held."""
    terms = serving_terms(request, held)
    parts = part_bytes(terms)
    total, certain = sum(parts.values()), certain_bytes(terms)
    one = cache.cache_bytes(held.states, request, 1, request.max_model_len)
    values: dict[str, Any] = {f"{part}_bytes": num_bytes for part, num_bytes in parts.items()}
    if held.gpu is not None:
        usable = held.gpu.usable_bytes
        values |= {"gpu": held.gpu.key, "usable_bytes": usable, "headroom_bytes": usable - total}
    return Serving(
        schema_version=SCHEMA_VERSION,
        tool_version=__version__,
        model=held.model.name,
        total_params=sum(i.elements for i in held.base if i.role != "buffer"),
        num_adapters=request.num_adapters,
        adapter_params=sum(group.count * sum(i.elements for i in items) for group, items in held.adapters),
        max_num_seqs=request.max_num_seqs,
        max_model_len=request.max_model_len,
        total_bytes=total,
        certain_bytes=certain,
        cache_bytes_per_token=-(-one // request.max_model_len),
        verdict=verdict_of(total, certain, held.gpu),
        terms=terms,
        notes=tuple(_notes(request, held)),
        **values,
    )


def _notes(request: ServeRequest, held: Held) -> list[str]:
    notes, architecture = [], held.architecture
    if request.engine == "vllm":
        notes.append(
            "vLLM takes a share of the card at its start, gpu_memory_utilization (0.92 by default), and fills what "
            "weights leave of it with cache: this is what the sequences need of it"
        )
        if any(not state.per_token for state in held.states):
            notes.append("recurrent states are taken in float32; vLLM's mamba_ssm_cache_dtype can make them smaller")
        notes.append("vLLM holds max_loras adapters on the card, each in a slot of max_lora_rank; all are counted here")
    if any(s.of_input for s in held.states):
        notes.append("encoder and decoder: the input and the answer are taken to be max_model_len tokens long, each")
    if any(b.attention is not None and b.attention.kind == "cross" for b in architecture.blocks):
        notes.append("the sequences are text: layers that attend to images keep nothing")
    limit = architecture.config.get("max_position_embeddings")
    if isinstance(limit, int) and request.max_model_len > limit:
        notes.append(f"max_model_len {request.max_model_len} exceeds the model's max_position_embeddings of {limit}")
    if any(state.window is not None for state in held.states) and request.engine == "transformers":
        notes.append("a sliding layer holds the whole prompt until the first new token: its view keeps that storage")
    return notes
