"""The Cost page's tables: pure functions to DataFrames."""

from collections.abc import Sequence
from datetime import date

import pandas as pd

from planner.cost.age import age_text
from planner.method_search import MethodSearch
from ui.cost import Option

OPTION_COLUMNS = (
    "gpu",
    "verdict",
    "hours",
    "USD",
    "USD low",
    "USD high",
    "USD a million tokens",
    "USD/h",
    "cards",
    "provider",
    "instance",
    "region",
    "price of",
    "source",
)


def option_frame(found: Sequence[Option], today: date) -> pd.DataFrame:
    """Cards with a price: what fits, what the run takes and costs there, and the price with date and source."""
    rows = []
    for gpu, plan in ((option.gpu, option.plan) for option in found):
        price = plan.price
        assert price is not None
        figures = (
            _rounded(plan.train_hours),
            plan.cost_usd,
            plan.cost_usd_low,
            plan.cost_usd_high,
            plan.usd_per_million_tokens,
        )
        of = (price.usd_per_hour, price.gpus, price.provider, price.instance, price.region)
        dated = age_text(price, today)
        rows.append((gpu.key, plan.verdict, *figures, *of, dated, price.source))
    frame = pd.DataFrame(rows, columns=list(OPTION_COLUMNS))
    return frame.dropna(axis="columns", how="all")


def search_frame(found: Sequence[MethodSearch]) -> pd.DataFrame:
    """A line a method and schedule, of the methods that can be searched."""
    columns = ("method", "trials a card holds", "schedule", "at once", "machines", "hours", "USD")
    rows: list[tuple[object, ...]] = []
    for search in found:
        if isinstance(search.found, str):
            continue
        for schedule in search.found.schedules:
            figures = (schedule.at_once, schedule.machines, _rounded(schedule.hours), schedule.usd)
            rows.append((search.method, search.found.trials_per_card, schedule.name, *figures))
    return pd.DataFrame(rows, columns=list(columns))


def _rounded(hours: float | None) -> float | None:
    """Three digits: no estimate of a time has more."""
    return None if hours is None else float(f"{hours:.3g}")
