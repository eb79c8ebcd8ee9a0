"""The Profile page's tables: pure functions from records and levels to a DataFrame."""

from collections.abc import Sequence

import pandas as pd

from planner.answer import PHASE_NAMES
from planner.report import CATEGORY_NAMES
from planner.runs.history import Row
from planner.side_by_side import Levels
from planner.units import gib

_NAMES = {str(name): said for name, said in (*PHASE_NAMES.items(), *CATEGORY_NAMES.items())}


def history_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """One run a row, the newest first."""
    return pd.DataFrame(
        {
            "when (UTC)": [row.created_at[:16].replace("T", " ") for row in rows],
            "model": [row.model for row in rows],
            "method": [row.method for row in rows],
            "device": [row.device for row in rows],
            "status": [row.status for row in rows],
            "measured GiB": [_gib(row.peak_bytes) for row in rows],
            "plan/measured": [row.peak_ratio for row in rows],
            "seconds a step": [row.step_seconds for row in rows],
            "run": [row.run[:8] for row in rows],
        }
    )


def levels_frame(rows: Sequence[Levels]) -> pd.DataFrame:
    """One figure a row at three levels, with the ratios to the measurement."""
    frame = pd.DataFrame(
        {
            "part": [level_name(row.name) for row in rows],
            "plan GiB": [_gib(row.plan) for row in rows],
            "trace GiB": [_gib(row.trace) for row in rows],
            "measured GiB": [_gib(row.profile) for row in rows],
            "plan/measured": [row.plan_ratio for row in rows],
            "trace/measured": [row.trace_ratio for row in rows],
        }
    )
    traced = any(row.trace is not None for row in rows)
    return frame if traced else frame.drop(columns=["trace GiB", "trace/measured"])


def level_name(name: str) -> str:
    """A category or phase as people say it."""
    return _NAMES.get(name, name.removesuffix("_bytes").replace("_", " "))


def _gib(num_bytes: int | None) -> float | None:
    return None if num_bytes is None else gib(num_bytes)
