"""A record: one run with its request, its outcome, and what was estimated beside what was measured.

The names are the contract's where they mean the same; `status` is "done", or how the run ended without an answer.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from planner import __version__
from planner.answer import Plan
from planner.child import Kind
from planner.schema import SCHEMA_VERSION, PlanRequest

Record = dict[str, Any]

#: Ends that answer the question: the run did not fit.
OUT_OF_MEMORY: tuple[Kind, ...] = ("out of memory", "memory limit", "killed")

#: What every record has, whatever else is in it.
REQUIRED = ("run", "created_at", "level", "status", "model", "method", "request")


def new_record(name: str, request: PlanRequest, plan: Plan, device: Mapping[str, Any]) -> Record:
    """A record before its run."""
    return {
        "run": uuid4().hex,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "schema_version": SCHEMA_VERSION,
        "tool_version": __version__,
        "level": "profile",
        "status": "started",
        "error": None,
        "id": request.id,
        "model": name,
        "method": request.method,
        "hardware": dict(device),
        "request": request.model_dump(mode="json", exclude_unset=True),
        "plan": planned(plan),
    }


def planned(plan: Plan) -> dict[str, int]:
    """The figures of the plan that a measurement is held against."""
    names = ("weights_bytes", "peak_bytes", "steady_bytes", "device_bytes", "trainable_params")
    return {name: getattr(plan, name) for name in names}


def peak_ratio(record: Mapping[str, Any]) -> float | None:
    """Estimated over measured peak of tensor bytes; None where nothing was measured."""
    measured = record.get("peak_bytes")
    return record["plan"]["peak_bytes"] / measured if measured and record.get("plan") else None
