"""What the topic "lora-maths" shows: adapters of one layer and of all, and a step with and without them."""

from collections.abc import Mapping

from planner.answer import Category
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question, put_shapes
from planner.units import ITEMSIZE, gib

_PARTS: dict[str, Category] = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer states": "optimizer",
    "activations": "activations",
}


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, items, request = Facts(), case.items, case.request
    put_question(facts, case, has_batch=False)
    lora = request.lora_settings
    assert lora is not None
    facts.put("r", lora.r, "count", "request: lora.r")
    facts.put("alpha", lora.lora_alpha, "count", "request: lora.lora_alpha")
    adapters = [i for i in items if i.role == "adapter"]
    facts.put("N_base", sum(i.elements for i in items if i.role not in ("adapter", "buffer")), "count", "architecture")
    facts.take(case.label, case.plan, "count", trained="trainable_params")
    put_shapes(facts, adapters, lora.r)
    facts.take(case.label, case.plan, "bytes", adapter_bytes="adapter_bytes")
    dtype = adapters[0].dtype
    facts.put("adapter_dtype", dtype, "text", "plan: dtype of adapters")
    weights = sum(i.elements for i in adapters) * ITEMSIZE[dtype]
    facts.put("adapter_weights", weights, "bytes", "plan: adapters x bytes of their dtype")
    own_dtype = case.changed(lora={"autocast_adapter_dtype": False})
    facts.put("A_full", _largest(case.changed(method="full"), "activations"), "bytes", "plan (full): activations")
    facts.put("A_adapters", _largest(case, "activations"), "bytes", f"{case.label}, at their largest: activations")
    facts.put("A_own_dtype", _largest(own_dtype, "activations"), "bytes", "plan (adapters in the base's dtype)")
    facts.flag(has_copies=dtype == "float32" and case.prepared.setup.kept_dtype != "float32")
    return facts, {"saved": _saved(facts, case)}


def _largest(case: Case, category: Category) -> int:
    return max(moment.live_bytes[category] for moment in case.plan.timeline)


def _saved(facts: Facts, case: Case) -> Grid:
    """Parts in full fine-tuning and with adapters, each at its largest in the step."""
    full = case.changed(method="full")
    rows = []
    for label, category in _PARTS.items():
        values = [_largest(c, category) for c in (full, case)]
        cells = [
            cell(facts, f"{category}_{i}", gib(v), "gib", "plan: largest of a phase") for i, v in enumerate(values)
        ]
        rows.append((label, *cells))
    peaks = (full.plan.peak_bytes, case.plan.peak_bytes)
    cells = [cell(facts, f"peak_{i}", gib(v), "gib", "plan: peak") for i, v in enumerate(peaks)]
    rows.append(("peak of the step", *cells))
    return Grid(("part, at its largest", "full", case.request.method), tuple(rows), (1, 2))
