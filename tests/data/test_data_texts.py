"""The texts of the laboratories: each with its source, plain, and long enough to learn from."""

from datetime import date
from pathlib import Path

import pytest

from planner.catalog.tables import read_table
from planner.catalog.texts import read_text, text_title
from planner.errors import CatalogError

TABLE = read_table("texts/sources.csv")
FOLDER = Path(__file__).parents[2] / "data" / "texts"


def test_each_text_has_a_row_and_each_row_a_text() -> None:
    assert sorted(TABLE.column("file")) == sorted(path.name for path in FOLDER.glob("*.txt"))


@pytest.mark.parametrize("file", TABLE.column("file"))
def test_texts_are_plain_and_public(file: str) -> None:
    text = read_text(file)
    assert text.isascii() and len(text) > 30_000
    row = dict(zip(TABLE.columns, TABLE.rows[TABLE.column("file").index(file)], strict=True))
    assert row["rights"] == "public domain" and int(row["published"]) < 1900
    assert row["source_url"].startswith("https://") and date.fromisoformat(row["as_of"])
    assert row["author"] in text_title(file)


def test_another_file_is_refused() -> None:
    with pytest.raises(CatalogError):
        read_text("../gpus.csv")
