"""A step's time by the share of its matrix speed that this machine's own runs reached."""

from typing import Any

from planner.answer import Plan, TimePart
from planner.catalog import find_gpu
from planner.cost.fields import Speed, money_fields
from planner.parallelism import data_parallel_size
from planner.runs.calibration import Calibration
from planner.schema import PlanRequest


def with_own_speed(request: PlanRequest, plan: Plan, calibration: Calibration) -> Plan:
    """The plan with the time of a step as this device's runs of the same method and dtype were timed.

    As it was where there were none. The band keeps its width; a CPU, which has none, gets no band.
    """
    share = calibration.flops_share.get(request.method)
    rate = calibration.matmul_flops_per_second.get(request.dtype)
    if share is None or rate is None or not plan.flops_per_step:
        return plan
    seconds = plan.flops_per_step / request.num_gpus / (share * rate)
    source = f"{calibration.num_runs} runs of {calibration.name}, {calibration.fitted_at[:10]}"
    part = TimePart("measured share of matrix speed", seconds, "operations / (share x matrix speed)", source)
    tokens = request.per_device_train_batch_size * request.max_length * request.gradient_accumulation_steps
    speed = tokens * data_parallel_size(request) / seconds
    changes: dict[str, Any] = {"step_seconds": seconds, "step_parts": (part,), "tokens_per_second": speed}
    if plan.step_seconds:
        changes |= _scaled(request, plan, seconds / plan.step_seconds, speed)
    return plan.model_copy(update=changes)


def _scaled(request: PlanRequest, plan: Plan, ratio: float, speed: float) -> dict[str, Any]:
    """What follows from the time of a step on a card: its band, utilization, hours and cost."""
    assert plan.step_seconds and plan.step_seconds_low and plan.step_seconds_high
    assert plan.mfu is not None and plan.hfu is not None and request.gpu is not None
    slow, fast = plan.step_seconds / plan.step_seconds_high, plan.step_seconds / plan.step_seconds_low
    money, _ = money_fields(request, find_gpu(request.gpu), Speed(speed, speed * slow, speed * fast))
    return money | {
        "step_seconds_low": plan.step_seconds_low * ratio,
        "step_seconds_high": plan.step_seconds_high * ratio,
        "mfu": plan.mfu / ratio,
        "hfu": plan.hfu / ratio,
    }
