"""What the topic "family" shows: what each of LoRA's relatives trains, and what a step of it holds."""

from collections.abc import Iterable, Mapping

from planner.errors import PlannerError
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import METHOD_NAMES, cell, put_question, put_shapes
from planner.memory.reach import executed_blocks
from planner.schema import LORA_METHODS, PROMPT_METHODS
from planner.units import gib

_METHODS = ("lora", "dora", "adalora", "ia3", "prompt_tuning", "prefix_tuning", "p_tuning")


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, architecture = Facts(), case.architecture
    put_question(facts, case)
    lora = case.request.lora_settings
    assert lora is not None
    facts.put("r", lora.r, "count", "request: lora.r")
    put_shapes(facts, [i for i in case.items if i.role == "adapter"], lora.r)
    facts.put("h", architecture.hidden_size, "count", "architecture: hidden_size")
    facts.put("L", sum(b.count for b in executed_blocks(architecture)), "count", "architecture: num_layers")
    facts.put("p", case.request.prompt_settings.num_virtual_tokens, "count", "request: prompt.num_virtual_tokens")
    facts.put("one", 1, "count", "peft 0.21: adalora ranknum")
    towers = [i for i in case.items if not i.reached]
    facts.flag(has_tower=towers)
    adapters = sum(i.elements for i in towers if i.role == "adapter")
    facts.put("tower", sum(i.elements for i in towers) - adapters, "count", "architecture: not reached by text")
    facts.put("tower_trained", adapters, "count", "architecture: adapters not reached by text")
    facts.take(case.label, case.plan, "count", trained="trainable_params")
    variants = {method: found for method in _METHODS if (found := _variant(case, method)) is not None}
    trained = [variant.plan.trainable_params for variant in variants.values()]
    facts.put("fewest", min(trained), "count", "plan: trainable_params of the methods")
    facts.put("most", max(trained), "count", "plan: trainable_params of the methods")
    facts.put("spread", _spread(variants.values()), "bytes", "plan: largest less smallest peak of the methods")
    checkpointed = [v.changed(gradient_checkpointing=True) for m, v in variants.items() if m != "prefix_tuning"]
    facts.put("spread_checkpointed", _spread(checkpointed), "bytes", "plan (checkpointing): the same")
    return facts, {"methods": _methods(facts, variants)}


def _spread(cases: Iterable[Case]) -> int:
    peaks = [case.plan.peak_bytes for case in cases]
    return max(peaks) - min(peaks)


def _variant(case: Case, method: str) -> Case | None:
    """The case by another method, what it has no use for left out; None where PEFT has it not for this model."""
    data = case.request.model_dump(exclude_unset=True)
    data["method"] = method
    data.pop("quantization", None)
    if method not in LORA_METHODS:
        data.pop("lora", None)
    if method not in PROMPT_METHODS:
        data.pop("prompt", None)
    if method == "prefix_tuning":
        data.pop("gradient_checkpointing", None)
    try:
        found = Case(type(case.request).model_validate(data))
        assert found.plan
    except (PlannerError, ValueError):
        return None
    return found


def _methods(facts: Facts, variants: Mapping[str, Case]) -> Grid:
    rows = []
    for method, case in variants.items():
        plan, origin = case.plan, f"plan ({method})"
        rows.append(
            (
                METHOD_NAMES[method],
                cell(facts, f"{method}_trained", plan.trainable_params, "count", origin),
                cell(facts, f"{method}_file", plan.adapter_bytes, "bytes", origin),
                cell(facts, f"{method}_peak", gib(plan.peak_bytes), "gib", origin),
            )
        )
    return Grid(("method", "trained", "saved file", "peak GiB"), tuple(rows), (1, 2, 3))
