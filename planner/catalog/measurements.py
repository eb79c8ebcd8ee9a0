"""Measurements: what others published and what this project measured, with the explanations of what stays off."""

from functools import cache

from planner.catalog.rows.measurement import ExplanationRow, FrameworkRow, MeasurementRow, OwnRow
from planner.catalog.rows.speed import SpeedRow
from planner.catalog.tables import read_table

_FOLDER = "measurements"


def list_runs() -> list[MeasurementRow]:
    """Every published figure, those of runs that ended for want of memory included, in the order of the file."""
    table = read_table(f"{_FOLDER}/runs.csv")
    return [_run(number) for number in range(len(table.rows))]


def list_own_runs() -> list[OwnRow]:
    """Every training run that this project measured on a CPU."""
    table = read_table(f"{_FOLDER}/own.csv")
    return [table.validated(number, OwnRow) for number in range(len(table.rows))]


def list_speeds() -> list[SpeedRow]:
    """Every published training speed, in the order of the file."""
    table = read_table(f"{_FOLDER}/speeds.csv")
    return [table.validated(number, SpeedRow) for number in range(len(table.rows))]


@cache
def explanations() -> dict[str, ExplanationRow]:
    """Why a run stays off, by the run's id."""
    table = read_table(f"{_FOLDER}/explanations.csv")
    rows = [table.validated(number, ExplanationRow) for number in range(len(table.rows))]
    return {row.id: row for row in rows}


@cache
def frameworks() -> dict[tuple[str, str], FrameworkRow]:
    """What a source's framework amounts to, by its name and version there."""
    table = read_table(f"{_FOLDER}/frameworks.csv")
    rows = [table.validated(number, FrameworkRow) for number in range(len(table.rows))]
    return {(row.framework, row.framework_version): row for row in rows}


def framework_of(run: MeasurementRow) -> FrameworkRow:
    """The framework of a published run: its stack with the version (blank: none of ours), and what else it sets."""
    return frameworks()[run.framework, run.framework_version]


@cache
def _run(number: int) -> MeasurementRow:
    return read_table(f"{_FOLDER}/runs.csv").validated(number, MeasurementRow)
