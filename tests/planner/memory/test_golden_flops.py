"""flops_per_step of every family in each way of training, against what torch counted (tests/golden/flops.py)."""

import pytest

from planner.catalog import list_models, resolve_config
from planner.estimate import estimate
from tests.golden.flops import Counted, read_table
from tests.golden.matrix import NOT_TRACED

ROWS = read_table()
ALLOWED = 0.001


@pytest.mark.parametrize("row", ROWS, ids=[row.slice.model_type for row in ROWS])
def test_the_plan_counts_what_torch_counts(row: Counted) -> None:
    for column, request in row.requests():
        if row.cells[column]:
            planned = estimate(request).flops_per_step
            assert planned == pytest.approx(int(row.cells[column]), rel=ALLOWED), column


def test_every_family_has_its_row() -> None:
    types = {resolve_config(model.id)[1]["model_type"] for model in list_models()}
    assert {row.slice.model_type for row in ROWS} == types - NOT_TRACED, "run: python -m tests.golden.flops"
