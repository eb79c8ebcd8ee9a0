"""Invariants of data/references.csv: every work has an address, every figure stands in the words quoted for it."""

import re
from collections import Counter

import pytest

from planner.catalog.references import list_references
from planner.catalog.rows.reference import ReferenceRow

ROWS = list_references()
#: Figures that a quotation says in words.
_WORDS = {"twice": 2, "half": 0.5, "one": 1}


def test_keys_are_unique() -> None:
    assert [key for key, count in Counter(row.key for row in ROWS).items() if count > 1] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.key)
def test_a_work_has_an_address_and_a_year_or_version(row: ReferenceRow) -> None:
    assert row.url.startswith("https://")
    assert re.search(r"\d", row.work)


@pytest.mark.parametrize("row", [row for row in ROWS if row.value is not None], ids=lambda row: row.key)
def test_a_figure_stands_in_its_quotation(row: ReferenceRow) -> None:
    found = re.findall(r"(\d[\d,]*(?:\.\d+)?)([kK]?)", row.quote)
    numbers = {float(number.replace(",", "")) * (1000 if thousands else 1) for number, thousands in found}
    numbers |= {value for word, value in _WORDS.items() if word in row.quote.split()}
    factor = 100 if row.unit == "share" else 1
    assert any(abs(number - row.value * factor) < 1e-9 for number in numbers), row.quote
