"""Plan against trace, each family of the catalogue in each way of training: no difference may grow (tests/golden).

A row's two cells here are of two methods, one of them with checkpointing, and go round with the rows, so that every way
of training is traced for every third family; the others are slow. What a change of the plan moves is found without
a trace, in every way of training, by tests/planner/memory/test_golden_catalogue.py.
"""

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.catalog import list_models, resolve_config
from planner.schema import METHODS
from tests.golden.matrix import COLUMNS, NOT_TRACED, SETTINGS, Slice, cell, read_table
from tests.installed import fails_in_forward

pytestmark = pytest.mark.torch

#: Points of a percent by which a difference may grow before somebody has to say why.
ALLOWED_GROWTH = 0.05
ROWS = read_table()
QUICK = {
    (row.model_type, METHODS[(place + checkpointing) % len(METHODS)], bool(checkpointing))
    for place, (row, _) in enumerate(ROWS)
    for checkpointing in (0, 1)
}
CELLS = [
    pytest.param(
        row,
        setting,
        before,
        id=f"{row.model_type}: {column}",
        marks=() if (row.model_type, *setting) in QUICK else pytest.mark.slow,
    )
    for row, recorded in ROWS
    for setting, column, before in zip(SETTINGS, COLUMNS, recorded, strict=True)
]


@pytest.mark.parametrize(("row", "setting", "before"), CELLS)
def test_no_difference_grows(row: Slice, setting: tuple[str, bool], before: str) -> None:
    now = cell(row.request(*setting))
    if row.model_type in fails_in_forward():
        assert now == "trace refuses"
    elif "refuses" not in before:
        assert "refuses" not in now and abs(float(now)) <= abs(float(before)) + ALLOWED_GROWTH, (
            f"{before} became {now} (reviewed? python -m tests.golden.matrix {row.model_type})"
        )


def test_every_family_has_its_row() -> None:
    types = {resolve_config(model.id)[1]["model_type"] for model in list_models()}
    assert {row.model_type for row, _ in ROWS} == types - NOT_TRACED, "run: python -m tests.golden.matrix"
