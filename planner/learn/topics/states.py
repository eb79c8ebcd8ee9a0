"""What the topic "states" shows: weights, gradients and states of full fine-tuning, and of other recipes."""

from collections.abc import Mapping
from typing import Any

from planner.answer import Category
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question
from planner.optimizers import OPTIMIZERS
from planner.units import ITEMSIZE, gib

#: Bytes of one state by the optimizer's format; None: of the parameter's dtype.
_STATE_BYTES = {"parameter": None, "float32": 4, "blockwise_8bit": 1, "blockwise_4bit": 0.5}
_PARTS: dict[str, Category] = {"W": "weights", "G": "gradients", "O": "optimizer"}
_RECIPES: dict[str, dict[str, Any]] = {
    "bf16 weights and states": {"dtype": "bfloat16", "mixed_precision": "no", "optim": "adamw_torch_fused"},
    "fp32 weights, bf16 autocast": {"dtype": "float32", "mixed_precision": "bf16", "optim": "adamw_torch_fused"},
    "bf16 weights, 8-bit AdamW": {"dtype": "bfloat16", "mixed_precision": "no", "optim": "adamw_8bit"},
    "bf16 weights, foreach AdamW": {"dtype": "bfloat16", "mixed_precision": "no", "optim": "adamw_torch"},
    "bf16 weights, Adafactor": {"dtype": "bfloat16", "mixed_precision": "no", "optim": "adafactor"},
    "bf16 weights, SGD": {"dtype": "bfloat16", "mixed_precision": "no", "optim": "sgd"},
}


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, request, items = Facts(), case.request, case.items
    put_question(facts, case)
    optimizer = OPTIMIZERS[request.optim]
    facts.put("N", sum(i.elements for i in items if i.role != "buffer"), "count", "architecture: parameters")
    facts.put("N_trained", sum(i.elements for i in items if i.has_gradient), "count", "architecture: reached by text")
    facts.take("request", request, "text", dtype="dtype", optim="optim")
    size, state = ITEMSIZE[request.dtype], _STATE_BYTES.get(optimizer.state_format)
    facts.put("b_w", size, "plain", "request: dtype")
    facts.put("b_g", size, "plain", "request: dtype")
    facts.flag(has_formula=optimizer.state_format in _STATE_BYTES)
    step = case.phase("optimizer_step").live_bytes
    for name, category in _PARTS.items():
        facts.put(f"ledger_{name}", step[category], "bytes", f"{case.label}: {category} in the optimizer step")
    if optimizer.state_format in _STATE_BYTES:
        facts.put("n_states", optimizer.num_states, "count", "optimizer: num_states")
        facts.put("b_s", state or size, "plain", "optimizer: state_format")
    else:
        facts.put("O", step["optimizer"], "bytes", f"{case.label}: optimizer")
    facts.cite(zero_bytes="zero-16")
    return facts, {"recipes": _recipes(facts, case)}


def _recipes(facts: Facts, case: Case) -> Grid:
    rows = []
    for number, (label, changes) in enumerate(_RECIPES.items()):
        variant = case.changed(**changes)
        step, params = variant.phase("optimizer_step"), variant.plan.total_params
        parts = {c: step.live_bytes[c] for c in _PARTS.values()}
        origin = f"plan (full, {', '.join(map(str, changes.values()))}): optimizer_step"
        values = [*(b / params for b in parts.values()), sum(parts.values()) / params]
        cells = [cell(facts, f"recipe_{number}_{i}", value, "two", origin) for i, value in enumerate(values)]
        cells.append(cell(facts, f"recipe_{number}_sum", gib(sum(parts.values())), "gib", origin))
        cells.append(cell(facts, f"recipe_{number}_step", gib(step.total_bytes), "gib", origin))
        rows.append((label, *cells))
    columns = ("recipe", "weights", "gradients", "states", "bytes each", "GiB", "step GiB")
    return Grid(columns, tuple(rows), (1, 2, 3, 4, 5, 6))
