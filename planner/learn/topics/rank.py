"""What the topic "rank" shows: trained parameters and memory by rank and by target modules."""

from collections.abc import Mapping

from planner.errors import PlannerError
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, published, put_question, put_shapes
from planner.units import gib

_RANKS = (4, 8, 16, 32, 64, 128, 256)
_PUBLISHED = (
    "qlora-all-layers",
    "qlora-rank",
    "lora-rank-one",
    "biderman-code-high",
    "biderman-code-low",
    "biderman-rank",
)


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, lora = Facts(), case.request.lora_settings
    assert lora is not None
    put_question(facts, case)
    facts.put("r", lora.r, "count", "request: lora.r")
    put_shapes(facts, [i for i in case.items if i.role == "adapter"], lora.r)
    targets = lora.target_modules if isinstance(lora.target_modules, str) else ", ".join(lora.target_modules)
    facts.put("targets", targets, "text", "request: lora.target_modules")
    step, plan = case.phase("optimizer_step").live_bytes, case.plan
    adapters = sum(term.bytes for term in case.prepared.static.weight_terms if term.name.startswith("adapters"))
    each = (adapters + step["gradients"] + step["optimizer"]) / plan.trainable_params
    facts.put("b", each, "ratio", f"{case.label}: adapters, gradients and states / trained parameters")
    facts.take(case.label, plan, "bytes", peak="peak_bytes")
    tables = {"ranks": _ranks(facts, case), "targets": _targets(facts, case)}
    return facts, tables | {"published": published(facts, *_PUBLISHED)}


def _row(facts: Facts, key: str, label: str, case: Case) -> tuple[str, ...]:
    plan = case.plan
    origin = f"plan ({key})"
    return (
        label,
        cell(facts, f"{key}_params", plan.trainable_params, "count", origin),
        cell(facts, f"{key}_share", plan.trainable_params / plan.total_params, "share", origin),
        cell(facts, f"{key}_file", plan.adapter_bytes, "bytes", origin),
        cell(facts, f"{key}_peak", gib(plan.peak_bytes), "gib", origin),
    )


_COLUMNS = ("trained parameters", "share", "adapter file", "peak GiB")


def _ranks(facts: Facts, case: Case) -> Grid:
    rows = []
    for rank in _RANKS:
        label = cell(facts, f"rank_{rank}", rank, "count", "request: lora.r of a variant")
        rows.append(_row(facts, f"rank_{rank}", label, case.changed(lora={"r": rank})))
    return Grid(("rank", *_COLUMNS), tuple(rows), (0, 1, 2, 3, 4))


def _targets(facts: Facts, case: Case) -> Grid:
    """By target modules, the fewest first; facts for the sentence on what more targets cost."""
    rows, peaks = [], []
    for i, (label, modules) in enumerate(_choices(case).items()):
        variant = case.changed(lora={"target_modules": modules})
        try:
            rows.append(_row(facts, f"targets_{i}", label, variant))
        except PlannerError:
            continue  # PEFT finds the name in another part of the model too, and refuses it there
        peaks.append(variant)
    facts.flag(has_fewer=len(peaks) > 1)
    facts.put("fewest_label", rows[0][0], "text", "request: lora.target_modules of a variant")
    facts.put("peak_fewest", peaks[0].plan.peak_bytes, "bytes", "plan (fewest targets)")
    facts.put("peak_all", peaks[-1].plan.peak_bytes, "bytes", "plan (all-linear)")
    facts.put("file_fewest", peaks[0].plan.adapter_bytes, "bytes", "plan (fewest targets)")
    facts.put("file_all", peaks[-1].plan.adapter_bytes, "bytes", "plan (all-linear)")
    return Grid(("target modules", *_COLUMNS), tuple(rows), (1, 2, 3, 4))


def _choices(case: Case) -> dict[str, object]:
    """Target modules by what a person calls them."""
    attention = case.attention_linears
    pair = [name for name in attention if name.endswith(("q_proj", "v_proj"))]
    choices: dict[str, object] = {}
    if len(pair) > 1:
        choices[" and ".join(pair)] = pair
    if attention:
        choices["all of the attention"] = attention
    return choices | {"all-linear": "all-linear"}
