"""A request in its stack: fields that the request leaves open take the stack's values, and the plan says which."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from planner.catalog.rows.stack import StackRow
from planner.parallelism import FULLY_SHARDED
from planner.schema import GradientCheckpointingKwargs, LoraSettings, PlanRequest, QuantizationSettings
from planner.switches import DEFAULT, UNNAMED, Switches


@dataclass(frozen=True, slots=True)
class Stacked:
    """The request with open fields filled in, the stack's switches, and what was filled ("field value")."""

    request: PlanRequest
    switches: Switches
    filled: tuple[str, ...]


def in_stack(request: PlanRequest) -> Stacked:
    """Put the values of the request's stack into the fields that were not set.

    Source: data/stacks.csv, where each value has its own. What the user set stays, in sub-models too.
    """
    if not request.names_stack and request.device == "cuda":
        return Stacked(_as_published(request), UNNAMED, ())
    if request.stack == "transformers":
        return Stacked(request, DEFAULT, ())
    from planner.catalog import stack_values

    name, _, version = request.stack.partition("@")
    rows = stack_values(name, version, request.method)
    open_rows = [row for row in rows if not row.field.startswith("switch.") and _is_open(request, row.field)]
    switches = {row.field.removeprefix("switch."): row.value for row in rows if row.field.startswith("switch.")}
    return Stacked(_filled(request, open_rows), replace(DEFAULT, **switches), tuple(map(_said, open_rows)))


def _as_published(request: PlanRequest) -> PlanRequest:
    """Under FSDP checkpoints are reentrant where nothing says otherwise.

    transformers 4 made them so, and so are those of every published run; they need more than others beside frozen
    weights, whose hidden states the hooks of flat parameters hold (planner/memory/spread.py).
    """
    if request.parallelism.strategy not in FULLY_SHARDED or _sets_reentrant(request):
        return request
    return request.model_copy(update={"gradient_checkpointing_kwargs": GradientCheckpointingKwargs(use_reentrant=True)})


def _sets_reentrant(request: PlanRequest) -> bool:
    return not request.gradient_checkpointing or not _is_open(request, "gradient_checkpointing_kwargs.use_reentrant")


def _said(row: StackRow) -> str:
    value = row.value if isinstance(row.value, str) else str(row.value).lower()
    return f"{row.field} {value}"


def _is_open(request: PlanRequest, path: str) -> bool:
    parent, _, field = path.rpartition(".")
    if not parent:
        return path not in request.model_fields_set
    if not _has(request, parent):
        return False
    given = getattr(request, parent) if parent in request.model_fields_set else None
    return given is None or field not in given.model_fields_set


def _has(request: PlanRequest, parent: str) -> bool:
    """Whether the request has these settings at all: what a stack offloads on a card are its checkpoints."""
    if parent == "parallelism":
        return request.device == "cuda" and _checkpoints(request)
    if parent == "lora":
        return request.lora_settings is not None
    return request.quantization_settings is not None if parent == "quantization" else True


def _checkpoints(request: PlanRequest) -> bool:
    """Nothing says that it does not: stacks that offload checkpoints make them where the request leaves it open."""
    return request.gradient_checkpointing or "gradient_checkpointing" not in request.model_fields_set


def _filled(request: PlanRequest, rows: Iterable[StackRow]) -> PlanRequest:
    update: dict[str, Any] = {}
    for row in rows:
        parent, _, field = row.field.rpartition(".")
        if not parent:
            update[field] = row.value
            continue
        inner = update.get(parent) or getattr(request, parent) or _EMPTY[parent]()
        update[parent] = inner.model_copy(update={field: row.value})
    return request.model_copy(update=update)


_EMPTY = {"lora": LoraSettings, "quantization": QuantizationSettings}
