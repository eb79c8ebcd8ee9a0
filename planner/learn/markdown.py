"""A rendered walk-through as Markdown: formulas as LaTeX for files, as plain text for terminals."""

from collections.abc import Iterable
from itertools import groupby
from typing import Literal

from planner.learn.blocks import Block, Code, Formula, Grid, Heading

Formulas = Literal["latex", "text"]


def to_markdown(blocks: Iterable[Block], formulas: Formulas) -> str:
    """One Markdown document."""
    parts: list[str] = []
    for is_formula, group in groupby(blocks, key=lambda block: isinstance(block, Formula)):
        if is_formula and formulas == "text":
            lines = "\n".join(block.text for block in group if isinstance(block, Formula))
            parts.append(f"```text\n{lines}\n```")
        else:
            parts += [_block(block) for block in group]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Formula):
        return f"$$\n{block.latex}\n$$"
    if isinstance(block, Grid):
        return grid(block)
    if isinstance(block, Code):
        return f"```{block.language}\n{block.text}\n```"
    return block.markdown


def grid(table: Grid) -> str:
    """A table whose columns are as wide as their cells, so that the plain text can be read too."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    rule = "|".join("-" * (w + 1) + (":" if i in table.numbers else "-") for i, w in enumerate(widths))
    rows = [_row(line, widths, table.numbers) for line in lines]
    return "\n".join([rows[0], f"|{rule}|", *rows[1:]])


def _row(cells: tuple[str, ...], widths: list[int], numbers: tuple[int, ...]) -> str:
    set_ = (c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True)))
    return f"| {' | '.join(set_)} |"
