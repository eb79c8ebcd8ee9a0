"""What the topic "paged" shows: how much of the optimizer states can leave the card, by method."""

from collections.abc import Mapping

from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.learn.topics.common import METHOD_NAMES, cell, published, put_question
from planner.memory.states import MIN_PAGED_NUMEL
from planner.optimizers import OPTIMIZERS
from planner.schema import METHODS
from planner.units import gib

#: Taken where the reader's optimizer is not paged.
_PAGED = "paged_adamw_32bit"


def declare(case: Case) -> tuple[Facts, Mapping[str, Grid]]:
    """The facts and tables of the topic."""
    facts, optim = Facts(), case.request.optim
    if not OPTIMIZERS[optim].paged:
        optim = _PAGED
    paged = case.changed(optim=optim)
    put_question(facts, paged)
    facts.take("request", paged.request, "text", optim="optim")
    facts.take("plan (paged)", paged.plan, "bytes", M_device="needed_bytes", host="host_bytes")
    states = paged.prepared.static.states
    facts.put("O", states.total, "bytes", "plan (paged): optimizer states")
    facts.put("O_paged", states.paged, "bytes", "plan (paged): paged states")
    facts.put("min_paged", MIN_PAGED_NUMEL, "count", "bitsandbytes: get_state_buffer")
    facts.flag(all_small=not states.paged)
    return facts, {
        "methods": _methods(facts, paged),
        "published": published(facts, "qlora-paging", "qlora-paged-speed"),
    }


def _methods(facts: Facts, paged: Case) -> Grid:
    rows = []
    for method in METHODS:
        variant = paged.changed(method=method)
        states = variant.prepared.static.states
        values = (states.total, states.paged, variant.plan.needed_bytes)
        origin = f"plan ({method}, paged)"
        cells = (cell(facts, f"{method}_{i}", gib(value), "gib", origin) for i, value in enumerate(values))
        rows.append((METHOD_NAMES[method], *cells))
    return Grid(("method", "states GiB", "can leave GiB", "needs GiB"), tuple(rows), (1, 2, 3))
