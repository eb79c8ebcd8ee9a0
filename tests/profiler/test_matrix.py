"""Plan against trace, each family of the catalogue in each way of training: no difference may grow (tests/golden).

By default a row has two cells, of two methods, one of them with checkpointing, that go round with the rows, and those
of which tests/planner/memory/test_golden_catalogue.py has no recorded trace, which finds without tracing what a change
of the plan moves. The others are slow.
"""

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.catalog import list_models, resolve_config
from planner.schema import METHODS
from tests.golden.catalogue import read_recorded
from tests.golden.matrix import COLUMNS, NOT_TRACED, SETTINGS, Slice, cell, read_table
from tests.installed import fails_in_forward

pytestmark = pytest.mark.torch

#: Points of a percent by which a difference may grow before somebody has to say why.
ALLOWED_GROWTH = 0.05
ROWS = read_table()
RECORDED = {
    (resolve_config(case.model)[1]["model_type"], case.method, case.gradient_checkpointing)
    for case, error in read_recorded().items()
    if isinstance(error, float)
}
ROUND = {
    (row.model_type, METHODS[(place + checkpointing) % len(METHODS)], bool(checkpointing))
    for place, (row, _) in enumerate(ROWS)
    for checkpointing in (0, 1)
}


def marks(place: tuple[str, str, bool]) -> tuple[pytest.MarkDecorator, ...]:
    return (pytest.mark.slow,) if place in RECORDED - ROUND else ()


CELLS = [
    pytest.param(
        row,
        setting,
        before,
        id=f"{row.model_type}: {column}",
        marks=marks((row.model_type, *setting)),
    )
    for row, recorded in ROWS
    for setting, column, before in zip(SETTINGS, COLUMNS, recorded, strict=True)
]


@pytest.mark.parametrize(("row", "setting", "before"), CELLS)
def test_no_difference_grows(row: Slice, setting: tuple[str, bool], before: str) -> None:
    now = cell(row.request(*setting))
    reviewed = f"{before} became {now} (reviewed? python -m tests.golden.matrix {row.model_type})"
    if row.model_type in fails_in_forward():
        assert now == "trace refuses"
    elif "refuses" in before:
        assert now == before, reviewed
    else:
        assert "refuses" not in now and abs(float(now)) <= abs(float(before)) + ALLOWED_GROWTH, reviewed


def test_every_family_has_its_row() -> None:
    types = {resolve_config(model.id)[1]["model_type"] for model in list_models()}
    assert {row.model_type for row, _ in ROWS} == types - NOT_TRACED, "run: python -m tests.golden.matrix"
