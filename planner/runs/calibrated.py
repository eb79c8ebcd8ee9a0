"""A plan with the constants of one measured device in the place of the general ones; it says so."""

from dataclasses import replace
from typing import Any

from planner.answer import Plan, Term, Verdict
from planner.catalog import find_gpu
from planner.errors import PlannerError
from planner.memory.runtime import with_slack
from planner.runs.calibrated_time import with_own_speed
from planner.runs.calibration import Calibration, CalibrationError, load
from planner.schema import PlanRequest


def on_this_machine(request: PlanRequest, plan: Plan) -> Plan:
    """The plan of a request with the constants of this machine's device.

    Raises CalibrationError where that device has no calibration.
    """
    calibration = choose(request, load())
    return with_own_speed(request, calibrate_plan(plan, calibration), calibration)


def choose(request: PlanRequest, kept: list[Calibration]) -> Calibration:
    """The calibration of the request's device: of its card by the catalogue's key, or of the machine's only one."""
    matching = [one for one in kept if (one.device == "cpu") == (request.device == "cpu")]
    if request.gpu is not None:
        matching = [one for one in matching if _key(one.name) == find_gpu(request.gpu).key]
    if not matching:
        known = ", ".join(f"{one.name} ({one.device})" for one in kept) or "none yet"
        wanted = request.gpu or request.device
        raise CalibrationError(
            f"--calibrated: no calibration of {wanted} (known: {known}); `tunebudget calibrate` fits one"
        )
    return matching[-1]


def _key(name: str) -> str | None:
    try:
        return find_gpu(name).key
    except PlannerError:
        return None


def calibrate_plan(plan: Plan, calibration: Calibration) -> Plan:
    """The plan with its runtime overhead and slack replaced; tensor bytes are as they were."""
    runtime, device = calibration.runtime_bytes, calibration.device_bytes(plan.peak_bytes)
    scale, needed = device / plan.device_bytes, min(device, with_slack(plan.peak_bytes) + runtime)
    changes: dict[str, Any] = {
        "runtime_bytes": runtime,
        "reserved_bytes": device - runtime,
        "device_bytes": device,
        "needed_bytes": needed,
        "low_bytes": max(plan.peak_bytes, round(plan.low_bytes * scale)),
        "high_bytes": round(plan.high_bytes * scale),
        "terms": (*(t for t in plan.terms if t.category != "runtime"), _term(calibration)),
        "timeline": tuple(_moment(row, runtime) for row in plan.timeline),
        "notes": (*plan.notes, _note(calibration)),
    }
    return plan.model_copy(update=changes | _verdict(plan, changes))


def _term(calibration: Calibration) -> Term:
    return Term(
        name=f"process on {calibration.name}",
        category="runtime",
        bytes=calibration.runtime_bytes,
        formula="constant",
        inputs={"runs": calibration.num_runs},
        born="loaded",
        freed="between_steps",
        source=f"fitted to {calibration.num_runs} runs of this machine's history, {calibration.fitted_at[:10]}",
        certainty="fitted",
    )


def _moment(row: Any, runtime: int) -> Any:
    change = runtime - row.live_bytes.get("runtime", 0)
    return replace(row, total_bytes=row.total_bytes + change, live_bytes=row.live_bytes | {"runtime": runtime})


def _note(calibration: Calibration) -> str:
    shares = ", ".join(f"{method} {share:.0%}" for method, share in calibration.flops_share.items())
    return (
        f"calibrated on {calibration.name}: runtime overhead and slack fitted to {calibration.num_runs} runs of "
        f"{calibration.fitted_at[:10]} (median error {calibration.median_error:.1%}); steps reached these shares of "
        f"its matrix speed: {shares}"
    )


def _verdict(plan: Plan, changes: dict[str, Any]) -> dict[str, Any]:
    """Fits, tight or not with the new figures; what may leave the card (paged states) is as it was."""
    if plan.usable_bytes is None or plan.headroom_bytes is None:
        return {}
    paged = plan.needed_bytes - (plan.usable_bytes - plan.headroom_bytes)
    limit = plan.usable_bytes + paged
    needed, (low, high) = changes["needed_bytes"], plan.model_copy(update=changes).needed_band
    word: Verdict = "fits" if high <= limit else "does not fit"
    if word == "does not fit" and low <= limit:
        word = "tight"
    return {"verdict": word, "headroom_bytes": limit - needed, "oom_probability": None}
