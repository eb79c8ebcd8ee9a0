"""The page's tables: pure functions from a plan to a DataFrame."""

import pandas as pd

from planner.answer import CATEGORIES, PHASE_NAMES, Plan
from planner.report import CATEGORY_NAMES
from planner.units import gib
from ui.text import number, slack_bytes

LEDGER_COLUMNS = (
    "name",
    "category",
    "GiB",
    "share",
    "bytes",
    "formula",
    "values",
    "born",
    "freed",
    "certainty",
    "source",
)


#: The largest integer of a column; a question of absurd size goes beyond it, and is then shown rounded.
_MAX_INTEGER = 2**63 - 1


def _column(counts: list[int]) -> pd.Series:
    """Counts as a column of integers, or of floats where they are too large for one."""
    fits = max(counts, default=0) <= _MAX_INTEGER
    return pd.Series(counts, dtype="int64" if fits else "float64")


def ledger_frame(plan: Plan) -> pd.DataFrame:
    """The terms live at the peak, one a row, in the plan's order; they sum to the peak and the runtime's own share."""
    total = plan.peak_bytes + plan.runtime_bytes
    rows = [
        (
            term.name,
            term.category,
            gib(term.bytes),
            term.bytes / total,
            term.bytes,
            term.formula,
            ", ".join(f"{symbol} = {number(value)}" for symbol, value in term.inputs.items()),
            PHASE_NAMES[term.born],
            PHASE_NAMES[term.freed],
            term.certainty,
            term.source,
        )
        for term in plan.terms
    ]
    frame = pd.DataFrame(rows, columns=list(LEDGER_COLUMNS))
    frame["bytes"] = _column([term.bytes for term in plan.terms])
    return frame


def category_frame(plan: Plan) -> pd.DataFrame:
    """What the bar shows: bytes of each category at the peak, the allocator's slack, and the whole."""
    parts = {CATEGORY_NAMES[category]: getattr(plan, f"{category}_bytes") for category in CATEGORIES}
    parts["allocator's slack"] = slack_bytes(plan)
    parts["on the card"] = plan.needed_bytes
    frame = pd.DataFrame({"part": list(parts), "bytes": _column(list(parts.values()))})
    frame["GiB"] = frame["bytes"].map(gib)
    frame["share"] = frame["bytes"] / plan.needed_bytes
    return frame[["part", "GiB", "share", "bytes"]]


def phase_frame(plan: Plan) -> pd.DataFrame:
    """What the timeline shows: GiB live by category at the largest moment of each phase."""
    frame = pd.DataFrame(
        [{CATEGORY_NAMES[c]: gib(moment.live_bytes.get(c, 0)) for c in CATEGORIES} for moment in plan.timeline]
    )
    frame.insert(0, "phase", [PHASE_NAMES[moment.phase] for moment in plan.timeline])
    frame["total"] = [gib(moment.total_bytes) for moment in plan.timeline]
    return frame
