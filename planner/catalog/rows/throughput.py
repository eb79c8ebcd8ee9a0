"""The rows of data/throughput/: constants of the step's time, and how far measured speeds lie from the estimates."""

from datetime import date
from typing import Literal

from pydantic import NonNegativeFloat

from planner.catalog.rows import Row, Text


class ConstantRow(Row):
    """One constant of data/throughput/constants.csv; fitted ones stay between low and high."""

    name: Text
    value: NonNegativeFloat
    unit: Text
    basis: Literal["fitted", "assumed", "published"]
    low: NonNegativeFloat | None = None
    high: NonNegativeFloat | None = None
    meaning: Text
    source: Text
    as_of: date
