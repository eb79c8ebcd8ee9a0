"""Operations of a step of every family in each way of training, against what torch counted (tests/golden/flops.py)."""

import pytest

from planner.catalog import list_models, resolve_config
from planner.memory.work import step_flops
from planner.prepare import prepare
from planner.schema import PlanRequest
from tests.golden.flops import Counted, read_table
from tests.golden.matrix import NOT_TRACED

ROWS = read_table()


@pytest.mark.parametrize("row", ROWS, ids=[row.slice.model_type for row in ROWS])
def test_the_plan_counts_what_torch_counts(row: Counted) -> None:
    planned = {column: planned_flops(request) for column, request in row.requests() if row.cells[column]}
    assert planned == {column: int(cell) for column, cell in row.cells.items() if cell}


def planned_flops(request: PlanRequest) -> int:
    stacked, prepared = prepare(request)
    flops: int = step_flops(prepared, stacked.request, request.per_device_train_batch_size, request.max_length)
    return flops


def test_every_family_has_its_row() -> None:
    types = {resolve_config(model.id)[1]["model_type"] for model in list_models()}
    assert {row.slice.model_type for row in ROWS} == types - NOT_TRACED, "run: python -m tests.golden.flops"
