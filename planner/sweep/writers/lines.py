"""Formats of one line a row: csv, json, md and html. Each text is encoded once, however many rows have it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import BinaryIO

from planner.sweep.block import Block, Texts
from planner.sweep.columns import Column
from planner.sweep.writers import Sheet
from planner.sweep.writers.harmless import harmless


@dataclass(frozen=True, slots=True)
class Format:
    """row: a line with %s for each cell. empty: of a missing cell. encode: of a text. between: of two rows."""

    head: str
    row: str
    between: str
    foot: str
    empty: str
    encode: Callable[[str], str]


class LineWriter:
    """Rows as lines of text in UTF-8."""

    def __init__(self, file: BinaryIO, columns: list[Column], style: Format):
        self._file, self._columns, self._style = file, columns, style
        self._started = False
        file.write(style.head.encode())

    def write(self, block: Block) -> None:
        """Append the rows."""
        if not block.num_rows:
            return
        cells = [list(self._cells(block, column)) for column in self._columns]
        text = self._style.between.join(map(self._style.row.__mod__, zip(*cells, strict=True)))
        self._file.write(((self._style.between if self._started else "") + text).encode())
        self._started = True

    def close(self) -> None:
        """Write what stands below the rows."""
        self._file.write(self._style.foot.encode())

    def _cells(self, block: Block, column: Column) -> Iterator[str]:
        values, empty = block.columns[column.name], self._style.empty
        if isinstance(values, Texts):
            names = [empty if name is None else self._style.encode(name) for name in values.names]
            return map(names.__getitem__, values.codes.tolist())
        as_text: Callable[[float], str] = _whole if column.kind == "integer" else repr
        return (as_text(value) if value == value else empty for value in values.tolist())


def _whole(value: float) -> str:
    return str(int(value))


def open_writer(name: str, file: BinaryIO, sheet: Sheet) -> LineWriter:
    """A writer of csv, json, md or html."""
    return LineWriter(file, list(sheet.columns), _FORMATS[name](sheet))


def _csv(sheet: Sheet) -> Format:
    """RFC 4180, without quotes where none are needed; notes are not part of it."""
    names = ",".join(column.name for column in sheet.columns)
    row = ",".join("%s" for _ in sheet.columns)
    return Format(f"{names}\r\n", f"{row}\r\n", "", "", "", _csv_text)


def _csv_text(text: str) -> str:
    safe = harmless(text)
    return '"' + safe.replace('"', '""') + '"' if any(sign in safe for sign in ',"\r\n') else safe


def _json(sheet: Sheet) -> Format:
    """One object: notes, columns with their meaning, and rows."""
    head = {"notes": dict(sheet.notes), "columns": {column.name: column.what for column in sheet.columns}}
    row = ", ".join(f"{json.dumps(column.name)}: %s" for column in sheet.columns)
    start = json.dumps(head, ensure_ascii=False)[:-1]
    return Format(f'{start}, "rows": [\n', f"{{{row}}}", ",\n", "\n]}\n", "null", _json_text)


def _json_text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _markdown(sheet: Sheet) -> Format:
    names = " | ".join(column.name for column in sheet.columns)
    rules = " | ".join("---:" if column.kind in ("integer", "number") else "---" for column in sheet.columns)
    row = " | ".join("%s" for _ in sheet.columns)
    notes = "".join(f"- {_markdown_text(what)}: {_markdown_text(text)}\n" for what, text in sheet.notes)
    return Format(f"| {names} |\n| {rules} |\n", f"| {row} |\n", "", f"\n{notes}", "", _markdown_text)


def _markdown_text(text: str) -> str:
    """Without what Markdown or HTML in it would take for its own."""
    plain = escape(" ".join(text.split()), quote=False)
    for sign in "\\|`*[]":
        plain = plain.replace(sign, f"\\{sign}")
    return plain


_STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color-scheme:light dark}table{border-collapse:collapse}
th,td{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:left;white-space:nowrap}
th{position:sticky;top:0;background:Canvas}.n{text-align:right;font-variant-numeric:tabular-nums}"""


def _html(sheet: Sheet) -> Format:
    classes = [' class="n"' if column.kind in ("integer", "number") else "" for column in sheet.columns]
    titled = zip(sheet.columns, classes, strict=True)
    names = "".join(f'<th{kind} title="{escape(c.what)}" scope="col">{escape(c.name)}</th>' for c, kind in titled)
    notes = "".join(f"<dt>{escape(what)}</dt><dd>{escape(text)}</dd>\n" for what, text in sheet.notes)
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>TuneBudget</title>'
        f"<style>{_STYLE}</style></head>\n<body><table>\n<thead><tr>{names}</tr></thead>\n<tbody>\n"
    )
    row = "".join(f"<td{kind}>%s</td>" for kind in classes)
    foot = f"</tbody></table>\n<dl>\n{notes}</dl></body></html>\n"
    return Format(head, f"<tr>{row}</tr>\n", "", foot, "", lambda text: escape(harmless(text)))


_FORMATS = {"csv": _csv, "json": _json, "md": _markdown, "html": _html}
