"""The answer's fields about time, with the notes that go with them."""

from typing import Any

from planner.answer import TimePart
from planner.catalog.rows.gpu import GpuRow
from planner.memory.dims import Number
from planner.schema import PlanRequest
from planner.throughput.answer import StepTime
from planner.throughput.rates import UnknownRateError, lacks_bfloat16
from planner.throughput.reading import AUTOCAST_NOTE, as_run
from planner.throughput.timed import step_time_of


def time_fields(
    request: PlanRequest, gpu: GpuRow | None, offloaded_bytes: Number, paged_bytes: Number, flops: Number
) -> tuple[StepTime | None, dict[str, Any], list[str]]:
    """A step's time, the plan's fields of it and notes; no time where no card is named or its rates were not seen.

    offloaded_bytes: what a micro-batch keeps on the host; paged_bytes: optimizer states that do not fit the card;
    flops: of the step on all devices.
    """
    if gpu is None:
        return None, {}, []
    try:
        time = step_time_of(request, gpu, offloaded_bytes, paged_bytes, flops)
    except UnknownRateError as error:
        return None, {}, [error.message]
    return time, _fields(time), _notes(request, gpu)


def _fields(time: StepTime) -> dict[str, Any]:
    return {
        "step_seconds": time.expected_seconds,
        "step_seconds_low": time.low_seconds,
        "step_seconds_high": time.high_seconds,
        "step_parts": tuple(TimePart(*part) for part in time.parts),
        "tokens_per_second": time.tokens_per_second,
        "mfu": time.mfu,
        "hfu": time.hfu,
    }


def _notes(request: PlanRequest, gpu: GpuRow) -> list[str]:
    notes = [] if as_run(request) is request else [AUTOCAST_NOTE]
    if request.dtype == "bfloat16" and lacks_bfloat16(gpu):
        notes.append(
            f"{gpu.key} has no bfloat16 tensor cores: products are timed at a share of its float32 rate; "
            "float16 is faster there (dtype: float16)"
        )
    if gpu.vendor != "nvidia":
        notes.append(f"{gpu.key}: no measured speed of a card of this vendor is behind its step time, only its rates")
    return notes
