"""The rows of data/throughput/: constants of the step's time, and how far measured speeds lie from the estimates."""

from datetime import date
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt

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


class SpeedBandRow(Row):
    """One kind of request in data/throughput/bands.csv: quantiles of log(measured / predicted) seconds of a step."""

    devices: Literal["one", "several", "any"]
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    runs: NonNegativeInt
    sources: NonNegativeInt


class SpeedRunRow(Row):
    """One run that the bands were fitted to (data/throughput/runs.csv): log(measured / predicted) seconds.

    asked: with all that the source states, which the constants were fitted to as well; or with adapters left open, as
    people ask. held_out_log_ratio: under constants that were fitted without the run's source.
    """

    id: Text
    source: Text
    asked: Literal["stated", "open"]
    devices: Literal["one", "several"]
    log_ratio: float
    held_out_log_ratio: float


class SpeedFitRow(Row):
    """How the fit came out (data/throughput/fit.csv); held out: each source under constants fitted without it.

    coverage: of a band that was fitted without the run's source, around constants that were fitted with it.
    """

    fitted_on: date
    tool_version: Text
    runs: NonNegativeInt
    sources: NonNegativeInt
    median_error: float
    p90_error: float
    held_out_median_error: float
    held_out_p90_error: float
    widening_low: float
    widening_high: float
    coverage: float
    held_out_coverage: float
    median_width: float
