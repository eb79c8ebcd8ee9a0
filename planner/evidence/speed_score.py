"""Predicted against measured speed: each published run, put to the planner as it is today."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from planner.catalog import find_gpu
from planner.catalog.measurements import list_speeds
from planner.catalog.rows.speed import SpeedRow
from planner.errors import PlannerError
from planner.evidence.speed_request import speed_request_of
from planner.throughput.answer import StepTime
from planner.throughput.timed import step_time_of


@dataclass(frozen=True, slots=True)
class SpeedEvidence:
    """One measured speed beside the planner's; time is None where it refuses, refusal says why. gpu: a key."""

    row: SpeedRow
    gpu: str
    time: StepTime | None
    refusal: str

    @property
    def error(self) -> float | None:
        """(predicted - measured) / measured tokens a second."""
        if self.time is None or self.row.tokens_per_second is None:
            return None
        return float(self.time.tokens_per_second / self.row.tokens_per_second - 1)

    @property
    def log_ratio(self) -> float | None:
        """log(measured / predicted) seconds of a step: what the band is fitted to."""
        return None if self.error is None else math.log(1 + self.error)

    @property
    def ran_out(self) -> bool:
        """No run of these ended for want of memory."""
        return False

    @property
    def in_band(self) -> bool | None:
        """Whether the measured time of a step lies in the band."""
        if self.time is None or self.log_ratio is None:
            return None
        measured = self.time.expected_seconds * math.exp(self.log_ratio)
        return bool(self.time.low_seconds <= measured <= self.time.high_seconds)


def score_speeds(rows: Sequence[SpeedRow] | None = None) -> Iterator[SpeedEvidence]:
    """Every published speed with a full configuration beside the planner's."""
    for row in list_speeds() if rows is None else rows:
        if row.completeness == "full":
            yield _scored(row)


def _scored(row: SpeedRow) -> SpeedEvidence:
    try:
        gpu = find_gpu(row.gpu)
        return SpeedEvidence(row, gpu.key, step_time_of(speed_request_of(row), gpu), "")
    except PlannerError as error:
        return SpeedEvidence(row, row.gpu, None, error.message)
