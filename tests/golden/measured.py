"""Measured training steps, and how far the planner is from each."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.answer import Plan
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.schema import parse_request

FOLDER = Path(__file__).parent
NAMES = ("measured_cpu", "measured_clients")
COLUMNS = ("id", "model_type", "method", "peak_error_percent")


@dataclass(frozen=True)
class Line:
    """One measured run: its request, and what was measured."""

    request: dict[str, Any]
    measured: dict[str, int]

    @property
    def id(self) -> str:
        return str(self.request["id"])

    @property
    def label(self) -> tuple[str, str, str]:
        return self.id, str(self.request["model"]["model_type"]), str(self.request["method"])


@dataclass(frozen=True)
class Row:
    """One row of a table of errors; None: the planner refused the request."""

    label: tuple[str, str, str]
    error_percent: float | None


def read_lines(name: str) -> list[Line]:
    """All lines of one file of measured runs."""
    with (FOLDER / f"{name}.jsonl").open() as lines:
        return [Line(**json.loads(line)) for line in lines]


def plan_of(line: Line) -> Plan | None:
    """The planner's answer, None where it refuses."""
    try:
        return estimate(parse_request(line.request))
    except PlannerError:
        return None


def error_percent(line: Line, plan: Plan | None) -> float | None:
    """Signed error of the peak, in percent of the measured one, to three digits."""
    if plan is None:
        return None
    return round(100 * (plan.peak_bytes / line.measured["peak_bytes"] - 1), 3) + 0.0


def today(name: str) -> list[Row]:
    """The errors of the planner as it is."""
    return [Row(line.label, error_percent(line, plan_of(line))) for line in read_lines(name)]


def read_table(name: str) -> list[Row]:
    """The recorded errors."""
    with (FOLDER / f"{name}_errors.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    return [Row((r["id"], r["model_type"], r["method"]), _number(r["peak_error_percent"])) for r in rows]


def _number(text: str) -> float | None:
    return float(text) if text else None


def write_table(name: str, rows: list[Row]) -> None:
    """Record the errors; empty for a refusal."""
    with (FOLDER / f"{name}_errors.csv").open("w", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            writer.writerow([*row.label, "" if row.error_percent is None else f"{row.error_percent:.3f}"])
