"""Small tables for tests."""

from typing import Any

import numpy as np

from planner.sweep.axes import Axes, axes_of
from planner.sweep.block import Block, Texts, numbers, texts
from planner.sweep.columns import COLUMNS
from planner.sweep.rows import blocks

Row = dict[str, Any]

#: Columns of memory, and the plan's figures in them.
MEMORY = {
    "peak_gib": "peak_bytes",
    "device_gib": "device_bytes",
    "device_low_gib": "low_bytes",
    "device_high_gib": "high_bytes",
    "needs_gib": "resident_bytes",
    "usable_gib": "usable_bytes",
    "headroom_gib": "headroom_bytes",
}


def axes(**given: Any) -> Axes:
    """A table of two models on two cards, with what is given instead."""
    fields = {"base": {}, "models": ["gpt2", "llama-3.1-8b"], "gpus": ["t4", "h100"]} | given
    return axes_of(**fields)


def rows(found: Axes) -> list[Row]:
    """Every row of a table."""
    columns = [(block, block.columns) for block in blocks(found)]
    return [row for block, names in columns for row in _rows(block, list(names))]


def _rows(block: Block, names: list[str]) -> list[Row]:
    values = [block.values(name) for name in names]
    return [dict(zip(names, cells, strict=True)) for cells in zip(*values, strict=True)]


def block_of(texts_of: dict[str, list[str | None]], num_rows: int) -> Block:
    """A block with these texts; every other cell is its row's number, or empty."""
    columns: dict[str, Any] = {}
    for column in COLUMNS:
        if column.name in texts_of:
            columns[column.name] = _distinct(texts_of[column.name])
        elif column.kind in ("text", "date"):
            columns[column.name] = texts((None,), np.zeros(num_rows, np.intp))
        else:
            columns[column.name] = numbers(np.arange(num_rows))
    return Block(num_rows, columns)


def _distinct(values: list[str | None]) -> Texts:
    names = list(dict.fromkeys(values))
    return texts(names, np.array([names.index(value) for value in values], np.intp))
