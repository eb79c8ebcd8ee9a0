"""The xlsx package around a table's rows: header, filter, styles and notes, as xlsxwriter makes them."""

import re
from dataclasses import dataclass
from io import BytesIO
from zipfile import ZipFile

from xlsxwriter import Workbook
from xlsxwriter.worksheet import Worksheet

from planner.sweep.writers import Sheet
from planner.sweep.writers.harmless import harmless

ROWS_PART, TEXTS_PART = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
_WIDTHS = {"text": 22, "integer": 12, "number": 12, "date": 12}
_NOTES_WIDTHS = (24, 110)
_STYLES = {"integer": "#,##0", "number": "#,##0.0###", "date": "yyyy-mm-dd"}
#: A row below the header that says which style each kind has; it is left out of the frame.
_SAMPLE = re.compile(r'<row r="2".*?</row>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Frame:
    """A whole package but for the rows: parts by name; what stands before and after the rows of the table's sheet.

    styles: of cells by kind of column. num_texts: shared texts of header and notes, which come first.
    """

    parts: dict[str, bytes]
    before: str
    after: str
    styles: dict[str, str]
    num_texts: int


def frame_of(sheet: Sheet, num_rows: int) -> Frame:
    """The package of a table with so many rows."""
    file = BytesIO()
    book = Workbook(file, {"in_memory": True, "strings_to_formulas": False})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    table = book.add_worksheet("Table")
    for number, column in enumerate(sheet.columns):
        table.set_column(number, number, _WIDTHS[column.kind])
        table.write_string(0, number, column.name, bold)
    for number, style in enumerate(_STYLES.values()):
        table.write_number(1, number, 0, book.add_format({"num_format": style}))
    table.freeze_panes(1, 1)
    table.autofilter(0, 0, max(num_rows, 1), len(sheet.columns) - 1)
    _notes(book, book.add_worksheet("Notes"), sheet, bold)
    book.close()
    return _read(file)


def _notes(book: Workbook, notes: Worksheet, sheet: Sheet, bold: object) -> None:
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    for number, width in enumerate(_NOTES_WIDTHS):
        notes.set_column(number, number, width)
    meanings = [(column.name, column.what) for column in sheet.columns]
    for row, (what, text) in enumerate([*sheet.notes, ("", ""), ("column", "meaning"), *meanings]):
        notes.write_string(row, 0, harmless(what), bold)
        notes.write_string(row, 1, harmless(text), wrapped)


def _read(file: BytesIO) -> Frame:
    with ZipFile(file) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    rows = re.sub(r"<dimension[^>]*/>", "", parts.pop(ROWS_PART).decode())
    sample = _SAMPLE.search(rows)
    assert sample is not None
    styles = dict(zip(_STYLES, re.findall(r's="(\d+)"', sample[0]), strict=True))
    count = re.search(rb'uniqueCount="(\d+)"', parts[TEXTS_PART])
    assert count is not None
    return Frame(parts, rows[: sample.start()], rows[sample.end() :], styles, int(count[1]))
