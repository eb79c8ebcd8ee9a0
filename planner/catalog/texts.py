"""Public-domain texts that the laboratories train on."""

from planner.catalog.tables import read_table, read_text_file
from planner.errors import CatalogError

_TABLE = "texts/sources.csv"


def read_text(file: str) -> str:
    """The text of a row of data/texts/sources.csv. Raises CatalogError where there is none."""
    if file not in read_table(_TABLE).column("file"):
        raise CatalogError(f"data/texts/{file} is no text of the catalogue")
    return read_text_file(f"texts/{file}")


def text_title(file: str) -> str:
    """Its title and author."""
    table = read_table(_TABLE)
    row = table.column("file").index(file)
    return f"{table.column('title')[row]} ({table.column('author')[row]})"
