"""What drills are drawn from: models and cards of the catalogue, sizes that people use; and their plans."""

from functools import cache, lru_cache
from random import Random
from typing import Any

from planner.answer import Plan
from planner.catalog import list_models
from planner.estimate import estimate
from planner.learn.cases import Case
from planner.memory.inventory import Item
from planner.schema import PlanRequest, parse_request
from planner.units import COUNTS, format_count

#: Decoders whose sizes follow from a line of shapes, and sizes that people fine-tune.
FAMILIES = frozenset("llama mistral qwen2 qwen3 gemma gemma2 phi3 olmo2 granite smollm3".split())
SMALLEST, LARGEST = 500 * COUNTS["M"], 75 * COUNTS["B"]
CARDS = ("rtx-3090", "rtx-4090", "l4", "a10g", "l40s", "a100-40gb", "a100-80gb-sxm", "h100-sxm", "rtx-4080", "t4")
LENGTHS = (512, 1024, 2048, 4096, 8192)
BATCHES = (1, 2, 4, 8)
RANKS = (4, 8, 16, 32, 64)
TOKENS = (5_000_000, 20_000_000, 100_000_000, 500_000_000)


@cache
def models() -> tuple[str, ...]:
    """The catalogue's decoders by id."""
    rows = (r for r in list_models() if r.model_type in FAMILIES and SMALLEST <= r.params <= LARGEST)
    return tuple(sorted(row.id for row in rows))


def model(rng: Random) -> str:
    return rng.choice(models())


def request_of(**fields: Any) -> PlanRequest:
    """A request of the planner's, as a drill asks it."""
    return parse_request({"gradient_checkpointing": True, **fields})


@lru_cache(maxsize=256)
def _plan(request_json: str) -> Plan:
    return estimate(PlanRequest.model_validate_json(request_json))


def plan_of(request: PlanRequest) -> Plan:
    """The plan, kept for questions that share it."""
    return _plan(request.model_dump_json(exclude_unset=True))


def fields_of(request: PlanRequest) -> dict[str, Any]:
    """The request as it can be asked again."""
    return request.model_dump(mode="json", exclude_unset=True)


def live(plan: Plan, phase: str, category: str) -> int:
    """Bytes of one category at the largest moment of a phase."""
    moment = next(m for m in plan.timeline if m.phase == phase)
    return next((size for name, size in moment.live_bytes.items() if name == category), 0)


def short(name: str) -> str:
    """The model's name without its owner."""
    return name.rpartition("/")[2]


def counted(plan: Plan) -> str:
    """The model with its own parameters: "Llama-3.1-8B (8.03B parameters)"."""
    added = 0 if plan.method == "full" else plan.trainable_params
    return f"{short(plan.model)} ({format_count(plan.total_params - added)} parameters)"


def adapted_shapes(case: Case) -> list[tuple[str, int, int, int]]:
    """(name, outputs, inputs, how many layers) of each adapted linear, read off A [r, in] and B [out, r]."""
    pairs: dict[str, dict[str, Item]] = {}
    for item in case.items:
        if item.role == "adapter":
            name, _, part = item.name.rpartition(".")
            pairs.setdefault(name, {})[part] = item
    return [
        (name.rpartition(".")[2], parts["lora_B"].shape[0], parts["lora_A"].shape[1], parts["lora_A"].count)
        for name, parts in pairs.items()
    ]
