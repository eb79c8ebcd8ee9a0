"""What a person reads of a sweep's rows on a terminal: its short columns."""

from collections.abc import Sequence

from planner.report import Column, Report, Table, Text
from planner.sweep.block import Block
from planner.sweep.columns import COLUMNS
from planner.sweep.columns import Column as SweepColumn

_SHORT = tuple(column for column in COLUMNS if column.short)


def table_report(blocks: Sequence[Block], most: int) -> Report:
    """The first rows, at most so many; and why any of them were refused."""
    headings = tuple(Column(_heading(c), "text" if c.kind == "text" else "number") for c in _SHORT)
    rows = [cells for block in blocks for cells in _rows(block)][:most]
    refused = dict.fromkeys(why for block in blocks for why in block.texts("refused").names if why)
    return (Table("", headings, tuple(rows)), *(Text(f"Refused: {why}", "note") for why in refused))


def _heading(column: SweepColumn) -> str:
    return {"per_device_train_batch_size": "batch", "max_length": "length"}.get(column.name, column.name)


def _rows(block: Block) -> list[tuple[str, ...]]:
    columns = [[_cell(value, column) for value in block.values(column.name)] for column in _SHORT]
    verdict = next(i for i, column in enumerate(_SHORT) if column.name == "verdict")
    columns[verdict] = [said or "refused" for said in columns[verdict]]
    return list(zip(*columns, strict=True))


def _cell(value: str | float | None, column: SweepColumn) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if column.kind == "integer" else f"{value:,.4g}"
