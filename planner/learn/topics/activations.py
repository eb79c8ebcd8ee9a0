"""What the topic "activations" shows: the forward pass's live bytes with and without checkpointing."""

from collections.abc import Mapping
from typing import Any

from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question
from planner.memory.reach import executed_blocks
from planner.units import ITEMSIZE, gib

#: Kinds of layers that compare no pairs of tokens.
_NO_SCORES = ("linear", "mamba")
_SETTINGS: dict[str, dict[str, Any]] = {
    "as asked, without checkpointing": {"gradient_checkpointing": False},
    "with checkpointing": {"gradient_checkpointing": True},
    "eager attention, without": {"gradient_checkpointing": False, "attn_implementation": "eager"},
    "eager attention, with": {"gradient_checkpointing": True, "attn_implementation": "eager"},
}


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, architecture = Facts(), case.architecture
    put_question(facts, case)
    blocks = executed_blocks(architecture)
    facts.put("h", architecture.hidden_size, "count", "architecture: hidden_size")
    facts.put("L", sum(block.count for block in blocks), "count", "architecture: num_layers")
    facts.put("kept_dtype", case.prepared.setup.kept_dtype, "text", "plan: dtype of embeddings")
    facts.put("b", ITEMSIZE[case.prepared.setup.kept_dtype], "count", "plan: dtype of embeddings")
    plain, checkpointed = (case.changed(gradient_checkpointing=on) for on in (False, True))
    facts.put("A_plain", _kept(plain), "bytes", "plan (no checkpointing): loss, activations")
    facts.put("A_checkpointed", _kept(checkpointed), "bytes", "plan (checkpointing): loss, activations")
    grown = checkpointed.phase("backward_layers").live_bytes["activations"] - _kept(checkpointed)
    facts.put("recomputed", max(grown, 0), "bytes", "plan (checkpointing): backward_layers less loss")
    scored = [b.attention for b in blocks if b.attention is not None and b.attention.kind not in _NO_SCORES]
    facts.flag(has_scores=scored)
    if scored:
        facts.put("n_heads", scored[0].num_heads, "count", "architecture: attention")
        facts.put("b_score", ITEMSIZE[case.prepared.setup.compute_dtype], "count", "request: dtype")
    facts.cite(c_forward="kaplan-forward", backward_ratio="kaplan-backward")
    return facts, {"settings": _settings(facts, case)}


def _kept(case: Case) -> int:
    """What the whole forward pass has kept when the loss is computed."""
    return case.phase("loss").live_bytes["activations"]


def _settings(facts: Facts, case: Case) -> Grid:
    rows = []
    for number, (label, changes) in enumerate(_SETTINGS.items()):
        variant = case.changed(**changes)
        origin = f"plan ({label})"
        values = (_kept(variant), variant.phase("backward_layers").total_bytes, variant.plan.peak_bytes)
        cells = (cell(facts, f"setting_{number}_{i}", gib(v), "gib", origin) for i, v in enumerate(values))
        rows.append((label, *cells))
    return Grid(("setting", "kept by the forward pass", "in the backward pass", "peak"), tuple(rows), (1, 2, 3))
