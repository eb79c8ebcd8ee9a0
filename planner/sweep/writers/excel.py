"""xlsx: typed cells, a header that stays, a filter over all columns, and a sheet of notes.

xlsxwriter makes the package; the rows of the table are written here, a line of XML each, which takes a sixth of its
time. Texts are shared: each stands once in the file, however many rows have it.
"""

import re
from collections.abc import Iterator
from datetime import date
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import BinaryIO
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from xlsxwriter.utility import xl_col_to_name

from planner.sweep.block import Block, Texts
from planner.sweep.columns import Column
from planner.sweep.writers import Sheet
from planner.sweep.writers.excel_frame import ROWS_PART, TEXTS_PART, Frame, frame_of
from planner.sweep.writers.harmless import harmless

#: Fast: a level more takes twice the time and saves a tenth.
_LEVEL = 1
#: Stands for the number of a row in the pattern of its cells.
_ROW = "\0"
#: The day before Excel's first, as it counts 1900-02-29, which never was.
_DAY_ZERO = date(1899, 12, 30).toordinal()
_MOST_SIGNS = 32_767
_NOT_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
_LOOKS_ENCODED = re.compile("_(x[0-9a-fA-F]{4}_)")


class ExcelWriter:
    """Rows go to the file as they come; distinct texts stay in memory to its end."""

    def __init__(self, file: BinaryIO, sheet: Sheet):
        self._file, self._sheet, self._next = file, sheet, 2
        frame = frame_of(sheet, 1)
        self._texts: dict[str, int] = {}
        self._first_text = frame.num_texts
        self._cells = [_cell(number, column, frame) for number, column in enumerate(sheet.columns)]
        # a target without room for it then fails in our hands, not in zipfile's
        self._whole = TemporaryFile()  # noqa: SIM115
        self._package = ZipFile(self._whole, "w", ZIP_DEFLATED, compresslevel=_LEVEL)
        self._rows = self._package.open(_info(ROWS_PART), "w")
        self._rows.write(frame.before.encode())

    def write(self, block: Block) -> None:
        """Append the rows."""
        if not block.num_rows:
            return
        named = zip(self._sheet.columns, self._cells, strict=True)
        cells = zip(*[list(self._column(block, column, cell)) for column, cell in named], strict=True)
        pattern = f'<row r="{_ROW}">%s</row>'
        lines = ((pattern % "".join(row)).replace(_ROW, str(number)) for number, row in enumerate(cells, self._next))
        self._rows.write("".join(lines).encode())
        self._next += block.num_rows

    def _column(self, block: Block, column: Column, cell: str) -> Iterator[str]:
        values = block.columns[column.name]
        if isinstance(values, Texts):
            names = ["" if name is None else cell % self._value(column, name) for name in values.names]
            return map(names.__getitem__, values.codes.tolist())
        as_text = _whole if column.kind == "integer" else repr
        return (cell % as_text(value) if value == value else "" for value in values.tolist())

    def _value(self, column: Column, text: str) -> int:
        """A date as a day's number, a text by its place among the shared ones."""
        if column.kind == "date":
            return date.fromisoformat(text).toordinal() - _DAY_ZERO
        return self._first_text + self._texts.setdefault(harmless(text), len(self._texts))

    def close(self) -> None:
        """Add what depends on the number of rows, the texts and the other parts, and finish the file."""
        frame = frame_of(self._sheet, self._next - 2)
        self._rows.write(frame.after.encode())
        self._rows.close()
        with self._package as package:
            for name, content in frame.parts.items():
                package.writestr(_info(name), self._with_texts(content) if name == TEXTS_PART else content)
        self._whole.seek(0)
        copyfileobj(self._whole, self._file)

    def _with_texts(self, part: bytes) -> bytes:
        head, _, foot = part.rpartition(b"</sst>")
        # both counts are hints of size, which readers do not need
        head = re.sub(rb' (count|uniqueCount)="\d+"', b"", head, count=2)
        items = "".join(f'<si><t xml:space="preserve">{_as_xml(text)}</t></si>' for text in self._texts)
        return head + items.encode() + b"</sst>" + foot


def _info(name: str) -> ZipInfo:
    """A deflated part."""
    info = ZipInfo(name)
    info.compress_type = ZIP_DEFLATED
    return info


def _cell(number: int, column: Column, frame: Frame) -> str:
    """The pattern of a column's cells."""
    place = f'<c r="{xl_col_to_name(number)}{_ROW}"'
    if column.kind == "text":
        return f'{place} t="s"><v>%s</v></c>'
    return f'{place} s="{frame.styles[column.kind]}"><v>%s</v></c>'


def _whole(value: float) -> str:
    return str(int(value))


def _as_xml(text: str) -> str:
    """As Excel writes what XML has no sign for: _x000D_ (ECMA-376 part 1, 22.9.2.19, ST_Xstring)."""
    safe = _LOOKS_ENCODED.sub(r"_x005F_\1", text[:_MOST_SIGNS])
    return escape(_NOT_XML.sub(lambda sign: f"_x{ord(sign[0]):04X}_", safe))


def open_writer(name: str, file: BinaryIO, sheet: Sheet) -> ExcelWriter:
    """A writer of xlsx."""
    return ExcelWriter(file, sheet)
