"""The rows of data/bands/: how far measured runs lie from their predictions, by kind of request."""

from datetime import date
from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

from planner.answer import Certainty
from planner.catalog.rows import Row, Text

Devices = Literal["one", "several"]

#: In the place of a stack: the request names none, so that several readings of its fields are open.
UNNAMED = "unnamed"


class BandRow(Row):
    """One kind of request in data/bands/bands.csv: quantiles of log(measured / predicted). "any": not told apart."""

    device: Literal["cuda", "cpu"]
    devices: Devices | Literal["any"]
    certainty: Certainty | Literal["any"]
    stack: Text
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float
    runs: NonNegativeInt = Field(description="runs of exactly this kind; the rest of the weight is the wider kinds'")
    sources: NonNegativeInt

    @property
    def quantiles(self) -> tuple[float, ...]:
        """log(measured / predicted) at 5, 25, 50, 75 and 95%."""
        return self.q05, self.q25, self.q50, self.q75, self.q95

    @model_validator(mode="after")
    def _in_order(self) -> "BandRow":
        if list(self.quantiles) != sorted(self.quantiles):
            raise ValueError("quantiles fall")
        if not self.q05 <= 0 <= self.q95:
            raise ValueError("the band must hold the prediction itself: q05 <= 0 <= q95")
        return self


class BandRunRow(Row):
    """One run that the bands were fitted to, with the prediction of that day (data/bands/runs.csv)."""

    id: Text
    source: Text
    device: Literal["cuda", "cpu"]
    devices: Devices
    certainty: Certainty
    stack: Text
    level: Literal["tensors", "device"]
    log_ratio: float = Field(description="log(measured / predicted)")


class BandFitRow(Row):
    """How the fit of one device's bands came out (data/bands/fit.csv)."""

    device: Literal["cuda", "cpu"]
    asked: Literal["named", "unnamed", "any"] = Field(description="requests that name their stack, or none")
    fitted_on: date
    tool_version: Text
    runs: NonNegativeInt
    sources: NonNegativeInt
    widening_low: PositiveFloat = Field(
        description="factor below the prediction, so that the coverage is what it claims"
    )
    widening_high: PositiveFloat = Field(description="the same above it")
    coverage: float | None = Field(
        None, description="share of runs inside the band of a fit without their source; blank: one source only"
    )
    coverage_device: float | None = Field(None, description="the same for reserved memory and nvidia-smi alone")
    median_width: float | None = Field(None, description="median of (high - low) / predicted in those bands")
