"""What the topic "choosing" shows: the three methods side by side for the reader's question."""

from collections.abc import Mapping

from planner.catalog import find_gpu
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import METHOD_NAMES, cell, published, put_question
from planner.limits import largest_batch
from planner.schema import METHODS, Method
from planner.units import gib

_PUBLISHED = ("qlora-mmlu", "biderman", "biderman-forgets", "qlora-data")


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, request = Facts(), case.request
    put_question(facts, case)
    cases = {method: case if request.method == method else case.changed(method=method) for method in METHODS}
    for method, variant in cases.items():
        facts.put(f"M_{method}", variant.plan.needed_bytes, "bytes", f"plan ({method}): needed_bytes")
    facts.flag(has_card=request.gpu)
    if request.gpu is not None:
        card = find_gpu(request.gpu)
        facts.put("card", card.name, "text", "request: gpu")
        facts.put("gpu", card.key, "text", "request: gpu")
        facts.put("M_card", card.usable_bytes, "bytes", "catalogue: usable_mib")
    words = "with checkpointing" if request.gradient_checkpointing else "without checkpointing"
    facts.put("checkpointing_words", words, "text", "request: gradient_checkpointing")
    facts.put("adapter", cases["lora"].plan.adapter_bytes, "bytes", "plan (lora): adapter_bytes")
    low, high = case.plan.needed_band
    facts.put("low", low, "bytes", f"{case.label}, its band: low")
    facts.put("high", high, "bytes", f"{case.label}, its band: high")
    return facts, {"methods": _methods(facts, cases), "published": published(facts, *_PUBLISHED)}


def _methods(facts: Facts, cases: Mapping[Method, Case]) -> Grid:
    rows = []
    with_card = any(case.request.gpu for case in cases.values())
    for method, case in cases.items():
        plan, origin = case.plan, f"plan ({method})"
        cells = [
            cell(facts, f"{method}_trained", plan.trainable_params, "count", origin),
            cell(facts, f"{method}_gib", gib(plan.needed_bytes), "gib", origin),
            cell(facts, f"{method}_file", plan.adapter_bytes, "bytes", origin),
        ]
        if with_card:
            batch = largest_batch(case.request)
            cells += [str(plan.verdict), cell(facts, f"{method}_batch", batch or 0, "count", "largest batch that fits")]
        rows.append((METHOD_NAMES[method], *cells))
    columns = ("method", "trained", "needs GiB", "saved file", *(("verdict", "largest batch") if with_card else ()))
    return Grid(columns, tuple(rows), (1, 2, 3, 5) if with_card else (1, 2, 3))
