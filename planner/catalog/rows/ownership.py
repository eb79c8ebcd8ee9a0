"""The rows of data/ownership.csv."""

from datetime import date

from pydantic import NonNegativeFloat

from planner.catalog.rows import Row, Text


class OwnershipRow(Row):
    """What a term of owned or interruptible hardware is taken to be where a request leaves it open."""

    name: Text
    value: NonNegativeFloat
    unit: Text
    source: Text
    as_of: date
    note: str = ""
