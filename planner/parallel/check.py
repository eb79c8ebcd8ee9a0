"""Rules of a spread run that need the model's sizes."""

from collections.abc import Callable

from planner.architecture.blocks import Architecture, Moe
from planner.errors import RequestError
from planner.schema import PlanRequest


def check_spread(request: PlanRequest, architecture: Architecture) -> None:
    """Raise RequestError, naming the field, where the model cannot be divided as the request asks."""
    for rule in _RULES:
        rule(request, architecture)


def _refuse(field: str, size: int | str, why: str) -> RequestError:
    path = f"parallelism.{field}"
    return RequestError(f"{path}: {size}: {why}", path)


def _experts(request: PlanRequest, architecture: Architecture) -> None:
    size = request.parallelism.expert_parallel_size
    if size == 1:
        return
    counts = {b.mlp.num_experts for b in architecture.blocks if isinstance(b.mlp, Moe)}
    if not counts:
        raise _refuse("expert_parallel_size", size, f"this {architecture.model_type} model has no experts: use 1")
    for count in sorted(counts):
        if count % size:
            raise _refuse("expert_parallel_size", size, f"it must divide the {count} experts of a layer")


def _tensor(request: PlanRequest, architecture: Architecture) -> None:
    """torch's ColwiseParallel and RowwiseParallel split whole heads and equal columns."""
    size = request.parallelism.tensor_parallel_size
    if size == 1:
        return
    attentions = [b.attention for b in architecture.blocks if b.attention is not None]
    if not attentions or any(a.kind in ("linear", "mamba") for a in attentions):
        why = f"the mixers of this {architecture.model_type} model are not split by heads: use 1"
        raise _refuse("tensor_parallel_size", size, why)
    for a in attentions:
        for count, what in ((a.num_heads, "attention heads"), (a.num_key_value_heads, "key and value heads")):
            if count % size:
                raise _refuse("tensor_parallel_size", size, f"it must divide the {count} {what} of this model")
    widths = {b.mlp.intermediate_size for b in architecture.blocks if b.mlp is not None}
    for width in sorted(widths):
        if width % size:
            raise _refuse("tensor_parallel_size", size, f"it must divide the intermediate size of {width}")


def _context(request: PlanRequest, architecture: Architecture) -> None:
    size = request.parallelism.context_parallel_size
    kinds = {b.attention.kind for b in architecture.blocks if b.attention is not None}
    if size > 1 and kinds & {"linear", "mamba", "bidirectional", "cross"}:
        why = f"this {architecture.model_type} model has layers that are not causal attention, which it divides: use 1"
        raise _refuse("context_parallel_size", size, why)


def _pipeline(request: PlanRequest, architecture: Architecture) -> None:
    size, layers = request.parallelism.pipeline_parallel_size, architecture.num_layers
    if size == 1:
        return
    if len({block.prefix for block in architecture.blocks}) > 1:
        why = (
            f"this {architecture.model_type} model has several stacks of layers, which no pipeline here divides: use 1"
        )
        raise _refuse("pipeline_parallel_size", size, why)
    if size > layers:
        raise _refuse("pipeline_parallel_size", size, f"there are only {layers} layers: each stage needs at least one")
    if architecture.tied and request.method == "full":
        why = "the tied embedding stands in the first and the last stage, which is not modelled: use 1"
        raise _refuse("pipeline_parallel_size", size, why)


def _device_map(request: PlanRequest, architecture: Architecture) -> None:
    if request.parallelism.strategy == "device_map" and len({block.prefix for block in architecture.blocks}) > 1:
        why = f"this {architecture.model_type} model has several stacks of layers, whose division is not modelled"
        raise _refuse("strategy", "device_map", f"{why}: use fsdp")


_RULES: tuple[Callable[[PlanRequest, Architecture], None], ...] = (_experts, _tensor, _context, _pipeline, _device_map)
