"""Plan against trace, each family of the catalogue in each way of training: no difference may grow (tests/golden)."""

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.catalog import list_models, resolve_config
from tests.golden.matrix import COLUMNS, NOT_TRACED, Slice, read_table
from tests.installed import fails_in_forward

pytestmark = pytest.mark.torch

#: Points of a percent by which a difference may grow before somebody has to say why.
ALLOWED_GROWTH = 0.05
ROWS = read_table()


@pytest.mark.parametrize(("row", "recorded"), ROWS, ids=[row.model_type for row, _ in ROWS])
def test_no_difference_grows(row: Slice, recorded: list[str]) -> None:
    if row.model_type in fails_in_forward():
        assert set(row.cells()) == {"trace refuses"}
        return
    worse = [
        f"{column}: {before} became {now}"
        for column, before, now in zip(COLUMNS, recorded, row.cells(), strict=True)
        if "refuses" not in before and ("refuses" in now or abs(float(now)) > abs(float(before)) + ALLOWED_GROWTH)
    ]
    assert not worse, f"{row.model_type}: {'; '.join(worse)} (reviewed? python -m tests.golden.matrix {row.model_type})"


def test_every_family_has_its_row() -> None:
    types = {resolve_config(model.id)[1]["model_type"] for model in list_models()}
    assert {row.model_type for row, _ in ROWS} == types - NOT_TRACED, "run: python -m tests.golden.matrix"
