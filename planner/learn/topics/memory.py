"""What the topic "memory" shows: the parts of the peak and the phases of the step."""

from collections.abc import Mapping

from planner.answer import CATEGORIES, PHASE_NAMES, Category
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import cell, put_question
from planner.report import CATEGORY_NAMES
from planner.units import gib

_SYMBOLS: dict[Category, str] = {
    "weights": "W",
    "gradients": "G",
    "optimizer": "O",
    "activations": "A",
    "logits": "L",
    "workspace": "T",
}


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, plan = Facts(), case.plan
    put_question(facts, case)
    for category, symbol in _SYMBOLS.items():
        facts.take(case.label, plan, "bytes", **{symbol: f"{category}_bytes"})
    facts.take(case.label, plan, "bytes", device="device_bytes", runtime="runtime_bytes")
    facts.take(case.label, plan, "bytes", low="low_bytes", high="high_bytes")
    facts.put("peak_phase", PHASE_NAMES[plan.peak_phase], "text", f"{case.label}: peak_phase")
    largest = max(_SYMBOLS, key=lambda category: int(getattr(plan, f"{category}_bytes")))
    share = getattr(plan, f"{largest}_bytes") / plan.peak_bytes
    facts.put("largest_name", CATEGORY_NAMES[largest], "text", f"{case.label}: the largest category")
    facts.put("largest_share", share, "share", f"{case.label}: {largest}_bytes / peak_bytes")
    return facts, {"timeline": _timeline(facts, case)}


def _timeline(facts: Facts, case: Case) -> Grid:
    """GiB by phase and category; parts that are never there are left out."""
    moments = case.plan.timeline
    shown = [c for c in CATEGORIES if c != "runtime" and any(m.live_bytes[c] for m in moments)]
    rows = []
    for moment in moments:
        live = {c: gib(moment.live_bytes[c]) for c in shown} | {"total": gib(moment.total_bytes)}
        origin = f"{case.label}: {moment.phase} in the timeline"
        cells = (cell(facts, f"{moment.phase}_{c}", value, "gib", origin) for c, value in live.items())
        rows.append((PHASE_NAMES[moment.phase], *cells))
    names = tuple(CATEGORY_NAMES[c] for c in shown)
    return Grid(("phase", *names, "total"), tuple(rows), tuple(range(1, len(names) + 2)))
