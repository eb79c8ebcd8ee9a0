"""N tasks or tenants: N whole models, or one base and N adapters, in training, storage and on the card."""

from pydantic import BaseModel, ConfigDict, Field

from planner.answer import Plan
from planner.dataset import DatasetSettings
from planner.estimate import estimate
from planner.memory.live import ITEMSIZE
from planner.schema import PlanRequest
from planner.serving.answer import Serving
from planner.serving.estimate import Held, hold, part_bytes, serving_terms
from planner.serving.request import MAX_ADAPTERS, ServeRequest
from planner.serving.weights import adapter_bytes, trained_as


class Way(BaseModel):
    """One of the two ways; integers are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    num_tenants: int
    trained_params: int = Field(description="of one tenant")
    training_bytes: int = Field(description="on the card while one tenant is trained")
    train_hours: float | None = Field(None, description="of all tenants, one after the other; null where it is unknown")
    train_cost_usd: float | None = Field(None, description="of all tenants; null where it is unknown")
    storage_bytes: int = Field(description="files of all tenants, and of the base where there is one")
    weights_bytes: int = Field(description="on the cards, for all tenants")
    serving_bytes: int = Field(description="on one card that holds all tenants, with cache and runtime")
    tenants_per_card: int | None = Field(None, description="null: not even one fits, or no card is named")
    cards: int | None = Field(None, description="cards for all tenants, each with the sequences asked about")


def ways(request: ServeRequest, found: Serving) -> tuple[Way, Way]:
    """Both ways of serving the request's adapters as tenants of their own.

    found: the request's estimate. Raises PlannerError where the request cannot be answered.
    """
    held = hold(request)
    return _adapters(request, held, found), _whole_models(request, held, found)


def _adapters(request: ServeRequest, held: Held, found: Serving) -> Way:
    sizes = [adapter_bytes(items) for _, items in held.adapters]
    plan = _trained(request, "adapters")
    fixed = found.total_bytes - found.adapters_bytes
    base = checkpoint_bytes(request, held)
    return Way(
        name="one base and an adapter each",
        num_tenants=request.num_adapters,
        trained_params=plan.trainable_params,
        training_bytes=plan.needed_bytes,
        **_money(plan, request.num_adapters),
        storage_bytes=base + found.adapters_bytes,
        weights_bytes=found.base_bytes + found.adapters_bytes,
        serving_bytes=found.total_bytes,
        **_cards(request.num_adapters, fixed, max(sizes, default=0), found.usable_bytes),
    )


def _whole_models(request: ServeRequest, held: Held, found: Serving) -> Way:
    """Each tenant's own weights, kept as the base is; a pass goes through one of them, without adapters."""
    alone = request.model_copy(update={"adapters": ()})
    parts = part_bytes(serving_terms(alone, hold(alone)))
    fixed = parts["cache"] + parts["runtime"]
    plan, count = _trained(request, "whole"), request.num_adapters
    return Way(
        name="a whole model each",
        num_tenants=count,
        trained_params=plan.trainable_params,
        training_bytes=plan.needed_bytes,
        **_money(plan, count),
        storage_bytes=count * checkpoint_bytes(request, held),
        weights_bytes=count * parts["base"],
        serving_bytes=count * parts["base"] + fixed,
        **_cards(count, fixed, parts["base"], found.usable_bytes),
    )


def _cards(count: int, fixed: int, each: int, usable: int | None) -> dict[str, int]:
    """How many tenants of this size one card holds beside what is there once, and the cards for all."""
    if usable is None or usable < fixed + each:
        return {}
    held = count if not each else min((usable - fixed) // each, MAX_ADAPTERS)
    return {"tenants_per_card": held, "cards": -(-count // held)}


def checkpoint_bytes(request: ServeRequest, held: Held) -> int:
    """The files of one whole model in the request's dtype; a quantized base is quantized as it is loaded."""
    return held.architecture.num_params * ITEMSIZE[request.dtype]


def training_request(request: ServeRequest, way: str) -> PlanRequest:
    """The run that makes one tenant: 1 x 1,024 tokens with gradient checkpointing, the planner's defaults else."""
    lora = request.adapters[0].lora if way == "adapters" and request.adapters else None
    run = trained_as(request, lora)
    quantization = request.quantization if run.method == "qlora" else None
    dataset = None if request.num_tokens is None else DatasetSettings(num_tokens=request.num_tokens)
    fields = {"gradient_checkpointing": True, "gpu": request.gpu, "quantization": quantization, "dataset": dataset}
    return run.model_copy(update=fields)


def _money(plan: Plan, count: int) -> dict[str, float | None]:
    """Hours and USD of all runs on the card asked about; unknown where a run does not fit on it."""
    if plan.verdict == "does not fit" or plan.train_hours is None:
        return {}
    cost = None if plan.cost_usd is None else plan.cost_usd * count
    return {"train_hours": plan.train_hours * count, "train_cost_usd": cost}


def _trained(request: ServeRequest, way: str) -> Plan:
    return estimate(training_request(request, way))
