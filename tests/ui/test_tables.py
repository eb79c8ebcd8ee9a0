"""The tables: one row a term, and sums that hold."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from planner.answer import Plan
from planner.units import GIB
from ui.tables import LEDGER_COLUMNS, category_frame, ledger_frame, phase_frame


def test_ledger_has_a_row_for_each_term(plan: Plan) -> None:
    frame = ledger_frame(plan)
    assert tuple(frame.columns) == LEDGER_COLUMNS
    assert list(frame["name"]) == [term.name for term in plan.terms]
    assert frame["bytes"].sum() == plan.peak_bytes + plan.runtime_bytes
    assert frame["share"].sum() == pytest.approx(1)
    assert frame.loc[2, "values"] == "B = 1, S = 1,024, hidden = 4,096"


def test_ledger_of_no_terms_keeps_its_columns(make_plan: Callable[..., Plan]) -> None:
    assert tuple(ledger_frame(make_plan(terms=())).columns) == LEDGER_COLUMNS


def test_bytes_beyond_64_bits_stay_a_column_of_numbers(make_plan: Callable[..., Plan], plan: Plan) -> None:
    huge = replace(plan.terms[0], bytes=2**70)
    frames = [ledger_frame(make_plan(terms=(huge,))), category_frame(make_plan(weights_bytes=2**70))]
    assert [frame["bytes"].dtype for frame in frames] == ["float64", "float64"]
    assert ledger_frame(plan)["bytes"].dtype == "int64"


def test_categories_sum_to_the_whole(plan: Plan) -> None:
    frame = category_frame(plan).set_index("part")
    assert frame.loc["on the card", "bytes"] == plan.needed_bytes
    assert frame.drop("on the card")["bytes"].sum() == plan.needed_bytes
    assert frame.loc["allocator's slack", "GiB"] == 1.0


def test_phases_carry_their_totals(plan: Plan) -> None:
    frame = phase_frame(plan)
    assert list(frame["total"]) == [moment.total_bytes / GIB for moment in plan.timeline]
    parts = frame.drop(columns=["phase", "total"]).sum(axis=1)
    assert list(parts) == list(frame["total"])
