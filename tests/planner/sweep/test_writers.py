"""Each file is opened by the program it is for: Excel's reader, pandas, pyarrow, a JSON and an HTML parser."""

import csv
import io
import json
from datetime import date, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pytest

from planner.errors import RequestError
from planner.sweep.block import Block
from planner.sweep.columns import COLUMNS
from planner.sweep.rows import blocks
from planner.sweep.writers import FORMATS, Sheet, check_rows, format_of, open_writer
from planner.sweep.writers.harmless import harmless
from tests.planner.sweep.tables import Row, axes, block_of, rows

NAMES = [column.name for column in COLUMNS]
NOTES = (("what this is", "estimated | not <measured>"), ("=HYPERLINK()", "+1"))
TABLE = axes(counts=[1, 2], lengths=[512, 2048], base={"dataset": {"num_tokens": 10**6}})

#: What OWASP lists, and what people try.
FORMULAS = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    " =1",
    '=HYPERLINK("http://x","y")',
    "-2+3+cmd|' /C calc'!A0",
]
AWKWARD = ['a,"b"', "a|b", "<script>alert(1)</script>", "a\nb", "ünïcode", "*bold*", "plain"]


def written(name: str, *found: Block) -> bytes:
    file = io.BytesIO()
    writer = open_writer(name, file, Sheet(COLUMNS, NOTES))
    for block in found:
        writer.write(block)
    writer.close()
    return file.getvalue()


class Cells(HTMLParser):
    """Rows of cells of an HTML table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._open = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._open:
            self.rows[-1][-1] += data


def html_cells(content: bytes) -> Cells:
    cells = Cells()
    cells.feed(content.decode())
    return cells


def markdown_rows(content: bytes) -> list[list[str]]:
    lines = [line for line in content.decode().splitlines() if line.startswith("|")]
    assert lines[1].replace("|", "").strip(" -:") == ""
    split = [line.replace("\\|", "\0").strip("|").split("|") for line in (lines[0], *lines[2:])]
    return [[unescape(cell.strip().replace("\0", "|")) for cell in row] for row in split]


def as_text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def test_csv_is_read_by_pandas() -> None:
    content = io.BytesIO(written("csv", *blocks(TABLE)))
    frame = pd.read_csv(content, keep_default_na=False, na_values=[""])
    assert list(frame.columns) == NAMES
    for row, expected in zip(frame.to_dict("records"), rows(TABLE), strict=True):
        for name, value in expected.items():
            assert pd.isna(row[name]) if value is None else row[name] == value, (name, row[name], value)


def test_json_is_one_object_with_its_notes() -> None:
    answer = json.loads(written("json", *blocks(TABLE)))
    assert answer["rows"] == rows(TABLE)
    assert answer["notes"] == dict(NOTES)
    assert list(answer["columns"]) == NAMES
    assert isinstance(answer["rows"][0]["num_gpus"], int)


def test_parquet_is_typed_and_has_its_notes() -> None:
    file = pq.ParquetFile(io.BytesIO(written("parquet", *blocks(TABLE))))
    kinds = {"text": "string", "integer": "int64", "number": "double", "date": "date32[day]"}
    assert [(f.name, str(f.type)) for f in file.schema_arrow] == [(c.name, kinds[c.kind]) for c in COLUMNS]
    assert json.loads(file.schema_arrow.metadata[b"notes"]) == dict(NOTES)
    assert [_dates_as_text(row) for row in file.read().to_pylist()] == rows(TABLE)


def test_xlsx_is_typed_filtered_and_frozen() -> None:
    book = openpyxl.load_workbook(io.BytesIO(written("xlsx", *blocks(TABLE))))
    sheet = book["Table"]
    assert [cell.value for cell in sheet[1]] == NAMES
    assert sheet.freeze_panes == "B2"
    expected = rows(TABLE)
    assert sheet.auto_filter.ref == f"A1:{sheet.cell(1, len(NAMES)).column_letter}{len(expected) + 1}"
    for cells, row in zip(sheet.iter_rows(min_row=2), expected, strict=True):
        for cell, column in zip(cells, COLUMNS, strict=True):
            assert _as_text_of_date(cell.value) == row[column.name], column.name
            if cell.value is not None:
                assert cell.data_type == {"text": "s", "date": "d"}.get(column.kind, "n")
    notes = {row[0].value: row[1].value for row in book["Notes"].iter_rows()}
    assert notes["what this is"] == NOTES[0][1] and notes["peak_gib"].endswith("GiB")


def _dates_as_text(row: Row) -> Row:
    return {name: _as_text_of_date(value) for name, value in row.items()}


def _as_text_of_date(value: Any) -> Any:
    if isinstance(value, datetime):
        value = value.date()
    return value.isoformat() if isinstance(value, date) else value


def test_html_and_markdown_have_every_row() -> None:
    expected = [NAMES, *([as_text(value) for value in row.values()] for row in rows(TABLE))]
    for found in (html_cells(written("html", *blocks(TABLE))).rows, markdown_rows(written("md", *blocks(TABLE)))):
        assert [[as_text(_number(cell)) for cell in row] for row in found] == expected


def _number(cell: str) -> Any:
    try:
        return float(cell)
    except ValueError:
        return cell


@pytest.mark.parametrize("text", FORMULAS)
def test_no_text_is_a_formula_in_a_spreadsheet(text: str) -> None:
    block = block_of({"model": [text], "refused": [text]}, 1)
    of_csv = list(csv.reader(io.StringIO(written("csv", block).decode(), newline="")))[1]
    of_xlsx = openpyxl.load_workbook(io.BytesIO(written("xlsx", block)))["Table"]["A2"]
    of_html = html_cells(written("html", block)).rows[1]
    for cell in (of_csv[0], of_html[0], str(of_xlsx.value)):
        plain = cell.replace("_x000D_", "\n").replace("\r", "\n")  # as xlsx writes a carriage return
        assert plain == "'" + text.replace("\r", "\n")
    assert of_xlsx.data_type == "s"
    book = openpyxl.load_workbook(io.BytesIO(written("xlsx", block)))
    assert all(cell.data_type != "f" for sheet in book for row in sheet.iter_rows() for cell in row)


def test_numbers_below_zero_are_numbers() -> None:
    assert harmless("meta-llama/Llama") == "meta-llama/Llama"
    found = [row["headroom_gib"] for row in rows(axes(models=["llama-3.1-8b"], gpus=["t4"], methods=["full"]))]
    text = written("csv", *blocks(axes(models=["llama-3.1-8b"], gpus=["t4"], methods=["full"]))).decode()
    assert found[0] < 0 and f",{found[0]}," in text


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_texts_stay_in_their_cells(text: str) -> None:
    block = block_of({"model": [text, "after"], "refused": [None, text]}, 2)
    assert list(csv.reader(io.StringIO(written("csv", block).decode(), newline="")))[1][0] == text
    assert json.loads(written("json", block))["rows"][0]["model"] == text
    page = html_cells(written("html", block))
    assert page.rows[1][0] == text and "script" not in page.tags
    assert {len(row) for row in markdown_rows(written("md", block))} == {len(NAMES)}
    assert openpyxl.load_workbook(io.BytesIO(written("xlsx", block)))["Table"]["A2"].value == text


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_without_rows_is_a_valid_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"empty.{name}"
    path.write_bytes(written(name))
    if name == "parquet":
        assert pq.read_table(path).num_rows == 0
    elif name == "xlsx":
        assert openpyxl.load_workbook(path)["Table"].max_row == 1
    elif name == "json":
        assert json.loads(path.read_text())["rows"] == []
    else:
        assert "model" in path.read_text()


def test_a_sheet_of_excel_has_its_limit() -> None:
    check_rows(Path("a.xlsx"), 1_048_575)
    check_rows(Path("a.parquet"), 10**8)
    with pytest.raises(RequestError, match=r"1,048,576 rows, and a sheet of Excel has 1,048,576 with its header"):
        check_rows(Path("a.xlsx"), 1_048_576)


def test_the_ending_is_the_format() -> None:
    assert format_of(Path("A.CSV")) == "csv"
    with pytest.raises(RequestError, match="the ending says the format"):
        format_of(Path("table.doc"))
