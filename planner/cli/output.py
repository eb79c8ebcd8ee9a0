"""Writes a report: plain text when piped, colour on a terminal, JSON on request."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from planner.report import Block, Column, Table, Text


def print_report(blocks: Iterable[Block]) -> None:
    """Write blocks to stdout, an empty line between tables and paragraphs."""
    if _in_colour():
        from planner.cli.colour import print_colour

        print_colour(blocks)
    else:
        print("\n".join(_plain(blocks)))


def print_markdown(text: str) -> None:
    """Write a Markdown document to stdout: laid out on a terminal, as it is when piped."""
    if _in_colour():
        from planner.cli.colour import print_laid_out

        print_laid_out(text)
    else:
        print(text, end="")


def print_json(data: Any) -> None:
    """Write one JSON document to stdout."""
    print(json.dumps(data, indent=2, default=str))


def note(text: str) -> None:
    """Say something that is no part of the result: on stderr."""
    print("note:", text, file=sys.stderr)


def _in_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _plain(blocks: Iterable[Block]) -> list[str]:
    lines: list[str] = []
    after_table = False
    for block in blocks:
        is_table = isinstance(block, Table)
        if lines and (is_table or after_table):
            lines.append("")
        lines += [block.text] if isinstance(block, Text) else _plain_table(block)
        after_table = is_table
    return lines


def _plain_table(table: Table) -> list[str]:
    headings = [column.heading for column in table.columns]
    widths = [max(map(len, cells)) for cells in zip(headings, *table.rows, strict=True)]
    lines = [_plain_row(cells, widths, table.columns) for cells in (headings, *table.rows)]
    return [table.title, *lines] if table.title else lines


def _plain_row(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    padded = (
        cell.rjust(width) if column.kind == "number" else cell.ljust(width)
        for cell, width, column in zip(cells, widths, columns, strict=True)
    )
    return "  " + "  ".join(padded).rstrip()
