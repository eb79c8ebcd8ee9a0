"""The rows of data/references.csv."""

from datetime import date

from pydantic import Field

from planner.catalog.rows import Row, Text


class ReferenceRow(Row):
    """One work, or one figure that it states, in its own words."""

    key: Text
    work: Text = Field(description="authors, year, title")
    url: Text
    where: str = Field("", description="section, table or file")
    quote: str = Field("", description="the words that state the figure")
    value: float | None = Field(None, description="the figure; blank where only the work is cited")
    unit: str = ""
    as_of: date
    note: str = ""
