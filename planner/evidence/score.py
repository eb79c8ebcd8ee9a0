"""Predicted against measured: each published run, and each of our own, put to the planner as it is today."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from planner.answer import Certainty, Plan, Verdict
from planner.catalog.measurements import framework_of, list_own_runs, list_runs
from planner.catalog.rows.measurement import MeasurementRow, Metric, OwnRow
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.evidence.request import request_of
from planner.schema import PlanRequest, parse_request

#: What a figure can be held against: the step's tensors, or what the allocator and the driver show.
Level = Literal["tensors", "device"]
_FIELDS: dict[Metric, tuple[str, Level]] = {
    "max_allocated": ("peak_bytes", "tensors"),
    "allocated_end_of_train": ("steady_bytes", "tensors"),
    "steady_allocated_avg": ("steady_bytes", "tensors"),
    "max_reserved": ("reserved_bytes", "device"),
    "reserved_avg": ("reserved_bytes", "device"),
    "reserved_p99": ("reserved_bytes", "device"),
    "unknown": ("reserved_bytes", "device"),
    "nvidia_smi": ("device_bytes", "device"),
    "oom_lower_bound": ("device_bytes", "device"),
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measured figure beside what the planner says; predicted is None where it refuses, refusal says why.

    run is the same for all figures of one run. stack is what the source's framework amounts to, asked_stack what was
    asked for: None where no stack was named. Bytes are those of the source's scope. measured_bytes of a
    run that ran out is the card's size: it needed more. low_bytes and high_bytes are the answer's band on
    device_bytes, scaled to the figure that was measured.
    """

    id: str
    run: tuple[object, ...]
    origin: Literal["published", "own"]
    source: str
    source_url: str
    source_title: str
    quote: str
    framework: str
    stack: str | None
    asked_stack: str | None
    model: str
    method: str
    metric: str
    level: Level
    device: str
    num_gpus: int
    gpu: str | None
    full: bool
    measured_bytes: int
    predicted_bytes: int | None
    low_bytes: int | None
    high_bytes: int | None
    ran_out: bool
    certainty: Certainty | None
    verdict: Verdict | None
    oom_probability: float | None
    refusal: str
    notes: str
    request: PlanRequest | None

    def as_dict(self) -> dict[str, object]:
        """All but the key of the run; the request with the fields that are set."""
        asked = self.request.model_dump(mode="json", exclude_unset=True) if self.request is not None else None
        shown = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "run"}
        return shown | {"request": asked}

    @property
    def answered(self) -> bool:
        """Whether the planner says something of it."""
        return self.predicted_bytes is not None

    @property
    def error(self) -> float | None:
        """(predicted - measured) / measured; None where there is no answer or no measured need."""
        if self.predicted_bytes is None or self.ran_out:
            return None
        return self.predicted_bytes / self.measured_bytes - 1

    @property
    def log_ratio(self) -> float | None:
        """log(measured / predicted): what the band is fitted to."""
        if self.predicted_bytes is None or self.ran_out:
            return None
        return math.log(self.measured_bytes / self.predicted_bytes)

    @property
    def in_band(self) -> bool | None:
        """Whether the measured figure lies in the band."""
        if self.low_bytes is None or self.high_bytes is None or self.ran_out:
            return None
        return self.low_bytes <= self.measured_bytes <= self.high_bytes


def score_published(rows: Sequence[MeasurementRow] | None = None, name_stack: bool = True) -> Iterator[Evidence]:
    """Every published figure beside the planner's; name_stack: ask for the stack that the run used, where known."""
    for row in list_runs() if rows is None else rows:
        yield _published(row, name_stack)


def score_own() -> Iterator[Evidence]:
    """Every run of ours beside the planner's: peak of tensor bytes."""
    yield from map(_own, list_own_runs())


def _published(row: MeasurementRow, name_stack: bool) -> Evidence:
    field, level = _FIELDS[row.metric]
    request, plan, refusal = _ask(lambda: request_of(row, name_stack))
    devices = row.num_gpus if row.scope == "total" else 1
    return Evidence(
        id=row.id,
        run=row.run,
        origin="published",
        source=row.source,
        source_url=row.source_url,
        source_title=row.source_title,
        quote=row.quote,
        framework=row.framework,
        model=row.model,
        method=row.method,
        metric=row.metric,
        level=level,
        device="cuda",
        num_gpus=row.num_gpus,
        full=row.completeness == "full",
        measured_bytes=row.measured_bytes,
        ran_out=row.ran_out,
        refusal=refusal,
        notes=row.notes,
        stack=framework_of(row).stack.partition("@")[0] or None,
        request=request,
        **_answer(request, plan, field, devices),
    )


def _own(row: OwnRow) -> Evidence:
    request, plan, refusal = _ask(lambda: parse_request(row.request))
    return Evidence(
        id=row.id,
        run=(row.source, row.id),
        origin="own",
        source="our own runs",
        source_url="",
        source_title=row.source,
        quote=f"peak of tensor bytes {row.peak_bytes:,}",
        framework=row.program,
        model=str(row.request["model"]["model_type"]),
        method=str(row.request["method"]),
        metric="tensor_peak",
        level="tensors",
        device="cpu",
        num_gpus=1,
        full=True,
        measured_bytes=row.peak_bytes,
        ran_out=False,
        refusal=refusal,
        notes=row.versions,
        stack=str(row.request.get("stack", "transformers")),
        request=request,
        **_answer(request, plan, "peak_bytes", 1),
    )


def _ask(make: Callable[[], PlanRequest]) -> tuple[PlanRequest | None, Plan | None, str]:
    """The request, its plan, and the refusal of either."""
    request = None
    try:
        request = make()
        return request, estimate(request), ""
    except PlannerError as error:
        return request, None, error.message


_ANSWERED = (
    "asked_stack",
    "gpu",
    "predicted_bytes",
    "low_bytes",
    "high_bytes",
    "certainty",
    "verdict",
    "oom_probability",
)


def _answer(request: PlanRequest | None, plan: Plan | None, field: str, devices: int) -> dict[str, Any]:
    """What the planner says of this figure, over all devices that it sums."""
    if request is None or plan is None:
        return dict.fromkeys(_ANSWERED)
    predicted = getattr(plan, field)
    scale = devices * predicted / plan.device_bytes
    return {
        "asked_stack": request.stack if request.names_stack else None,
        "gpu": plan.gpu,
        "predicted_bytes": predicted * devices,
        "low_bytes": int(plan.low_bytes * scale),
        "high_bytes": int(plan.high_bytes * scale),
        "certainty": plan.certainty,
        "verdict": plan.verdict,
        "oom_probability": plan.oom_probability,
    }
