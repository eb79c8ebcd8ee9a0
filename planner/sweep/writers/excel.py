"""xlsx: typed cells, a header that stays, a filter over all columns, and a sheet of notes."""

from datetime import date
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from xlsxwriter import Workbook

from planner.sweep.block import Block
from planner.sweep.columns import Column
from planner.sweep.writers import Sheet
from planner.sweep.writers.harmless import harmless

_WIDTHS = {"text": 22, "integer": 12, "number": 12, "date": 12}
_NOTES_WIDTHS = (24, 110)


class ExcelWriter:
    """Rows go to the file as they come (constant_memory): none can be changed later."""

    def __init__(self, file: BinaryIO, sheet: Sheet):
        self._file, self._sheet, self._next = file, sheet, 1
        # a target without room for it then fails in our hands, not in zipfile's
        self._whole = TemporaryFile()  # noqa: SIM115
        self._book = Workbook(self._whole, {"constant_memory": True, "strings_to_formulas": False})
        self._formats = {
            "integer": self._book.add_format({"num_format": "#,##0"}),
            "number": self._book.add_format({"num_format": "#,##0.0###"}),
            "date": self._book.add_format({"num_format": "yyyy-mm-dd"}),
        }
        self._bold = self._book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
        self._rows = self._book.add_worksheet("Table")
        self._header()

    def _header(self) -> None:
        for number, column in enumerate(self._sheet.columns):
            self._rows.set_column(number, number, _WIDTHS[column.kind])
            self._rows.write_string(0, number, column.name, self._bold)
        self._rows.freeze_panes(1, 1)

    def write(self, block: Block) -> None:
        """Append the rows, cell by cell in each."""
        columns = list(self._sheet.columns)
        values = [self._column(block, column) for column in columns]
        writes = [self._writer(column) for column in columns]
        for cells in zip(*values, strict=True):
            for number, (write, value) in enumerate(zip(writes, cells, strict=True)):
                if value is not None:
                    write(self._next, number, value)
            self._next += 1

    def _column(self, block: Block, column: Column) -> list[Any]:
        values = block.values(column.name)
        if column.kind == "date":
            return [None if value is None else date.fromisoformat(str(value)) for value in values]
        if column.kind == "text":
            return [None if value is None else harmless(str(value)) for value in values]
        return list(values)

    def _writer(self, column: Column) -> Any:
        """How a cell of this column is written."""
        if column.kind == "text":
            return self._rows.write_string
        style = self._formats[column.kind]
        write = self._rows.write_datetime if column.kind == "date" else self._rows.write_number
        return lambda row, number, value: write(row, number, value, style)

    def close(self) -> None:
        """Add the filter, the meanings of the columns and the notes, and finish the file."""
        self._rows.autofilter(0, 0, max(self._next - 1, 1), len(self._sheet.columns) - 1)
        notes = self._book.add_worksheet("Notes")
        wrapped = self._book.add_format({"text_wrap": True, "valign": "top"})
        for number, width in enumerate(_NOTES_WIDTHS):
            notes.set_column(number, number, width)
        meanings = [(column.name, column.what) for column in self._sheet.columns]
        for row, (what, text) in enumerate([*self._sheet.notes, ("", ""), ("column", "meaning"), *meanings]):
            notes.write_string(row, 0, harmless(what), self._bold)
            notes.write_string(row, 1, harmless(text), wrapped)
        self._book.close()
        self._whole.seek(0)
        copyfileobj(self._whole, self._file)


def open_writer(name: str, file: BinaryIO, sheet: Sheet) -> ExcelWriter:
    """A writer of xlsx."""
    return ExcelWriter(file, sheet)
