"""The Sweep page's tables: pure functions from blocks to DataFrames."""

from collections.abc import Sequence

import pandas as pd

from planner.sweep.block import Block
from planner.sweep.columns import COLUMNS, Column
from planner.sweep.search import OPTION_COLUMNS, Search

#: Columns of a table on the page, as they are called there.
SHOWN = {
    "model": "model",
    "method": "method",
    "gpu": "GPU",
    "num_gpus": "GPUs",
    "strategy": "shared by",
    "max_length": "length",
    "per_device_train_batch_size": "batch",
    "verdict": "verdict",
    "gpus_needed": "GPUs needed",
    "needs_gib": "needs GiB",
    "usable_gib": "card offers",
    "tokens_per_second": "tokens a second",
    "train_hours": "hours",
    "cost_usd": "USD",
    "usd_per_million_tokens": "USD a million tokens",
    "usd_per_hour": "USD an hour",
    "price_provider": "provider",
    "price_date": "price of",
    "adapter_mib": "saved MiB",
    "refused": "why not",
}
_SETTINGS = {"gradient_checkpointing": "checkpointing", "loss": "loss"}
_FRONT = ("method", "gpu", "num_gpus", "strategy", "per_device_train_batch_size", "gradient_checkpointing", "loss")
_FRONT += ("verdict", "needs_gib", "train_hours", "cost_usd", "usd_per_hour", "price_provider", "price_date")


def table_frame(table: Block) -> pd.DataFrame:
    """Every row; columns that are empty throughout are left out, but for the verdict."""
    columns = [column for column in COLUMNS if column.name in SHOWN and _told(table, column)]
    order = [name for name in SHOWN if name in {column.name for column in columns}]
    return pd.DataFrame({SHOWN[name]: _series(table, name) for name in order})


def _told(table: Block, column: Column) -> bool:
    return column.name == "verdict" or any(value is not None for value in table.values(column.name))


def _series(table: Block, name: str) -> pd.Series:
    kind = {column.name: column.kind for column in (*COLUMNS, *OPTION_COLUMNS)}[name]
    if kind in ("text", "date"):
        return pd.Series(table.values(name), dtype="object")
    return pd.Series(table.numbers(name), dtype="Int64" if kind == "integer" else "float64")


def front_frame(found: Search) -> pd.DataFrame:
    """The options of the front, the fastest first."""
    return _rows(found, [int(place) for place in found.front], _FRONT)


def cards_frame(found: Search) -> pd.DataFrame:
    """The best option of every other card, with what keeps it off the front."""
    places = [place for place in found.best_by_card() if found.reason(place)]
    frame = _rows(found, places, ("gpu", "num_gpus", "method"))
    frame["why not"] = [found.reason(place) for place in places]
    return frame


def _rows(found: Search, places: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
    rows = found.rows(list(places))
    return pd.DataFrame({(SHOWN | _SETTINGS)[name]: [row[name] for row in rows] for name in names})
