"""The comparison as tables: pure functions from named plans to a DataFrame."""

from collections.abc import Sequence

import pandas as pd

from planner.answer import CATEGORIES, PHASE_NAMES, Plan
from planner.report import CATEGORY_NAMES
from planner.units import gib

Named = Sequence[tuple[str, Plan]]


def compare_frame(found: Named) -> pd.DataFrame:
    """A row a question: verdict, need with its band, what the card offers, the difference to the first row."""
    first = found[0][1].resident_bytes
    rows = [_row(name, plan, first) for name, plan in found]
    return pd.DataFrame(rows).dropna(axis="columns", how="all")


def _row(name: str, plan: Plan, first: int) -> dict[str, object]:
    needed, (low, high) = plan.resident_bytes, plan.resident_band
    return {
        "question": name,
        "verdict": plan.verdict,
        "needs": gib(needed),
        "from": gib(low),
        "to": gib(high),
        "card offers": None if plan.usable_bytes is None else gib(plan.usable_bytes),
        "left over": None if plan.headroom_bytes is None else gib(plan.headroom_bytes),
        "to the first": gib(needed - first),
        "to the first, share": round(needed / first - 1, 3),
        "peak falls in": PHASE_NAMES[plan.peak_phase],
        "trained parameters": plan.trainable_params,
        "saved": gib(plan.adapter_bytes),
        "step in s": plan.step_seconds,
        "tokens a second": plan.tokens_per_second,
        "hours": plan.train_hours,
        "USD": plan.cost_usd,
        "USD a million tokens": plan.usd_per_million_tokens,
    }


def parts_frame(found: Named) -> pd.DataFrame:
    """What the picture shows, a column a question: GiB of each category at the peak, the slack and the whole."""
    columns = {name: _parts(plan) for name, plan in found}
    frame = pd.DataFrame(columns)
    frame.insert(0, "part", [*CATEGORY_NAMES.values(), "allocator's slack", "on the card"])
    return frame.reset_index(drop=True)


def _parts(plan: Plan) -> list[float]:
    parts = [getattr(plan, f"{c}_bytes") for c in CATEGORIES]
    return [gib(size) for size in (*parts, plan.slack_bytes, plan.needed_bytes)]
