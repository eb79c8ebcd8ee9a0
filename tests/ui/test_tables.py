"""The tables: one row a term, and sums that hold."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from planner.answer import Plan
from planner.units import GIB
from ui.tables import category_table, ledger_table, phase_table


def test_ledger_has_a_row_for_each_term(plan: Plan) -> None:
    frame = ledger_table(plan).to_pandas()
    assert list(frame["name"]) == [term.name for term in plan.terms]
    assert frame["bytes"].sum() == plan.peak_bytes + plan.runtime_bytes
    assert frame["share"].sum() == pytest.approx(1)
    assert frame.loc[2, "values"] == "B = 1, S = 1,024, hidden = 4,096"


def test_ledger_of_no_terms_keeps_its_columns(make_plan: Callable[..., Plan], plan: Plan) -> None:
    assert ledger_table(make_plan(terms=())).schema == ledger_table(plan).schema


def test_bytes_beyond_64_bits_stay_a_column_of_numbers(make_plan: Callable[..., Plan], plan: Plan) -> None:
    huge = replace(plan.terms[0], bytes=2**70)
    tables = [ledger_table(make_plan(terms=(huge,))), category_table(make_plan(weights_bytes=2**70))]
    assert [str(table["bytes"].type) for table in tables] == ["double", "double"]
    assert str(ledger_table(plan)["bytes"].type) == "int64"


def test_categories_sum_to_the_whole(plan: Plan) -> None:
    frame = category_table(plan).to_pandas().set_index("part")
    assert frame.loc["on the card", "bytes"] == plan.needed_bytes
    assert frame.drop("on the card")["bytes"].sum() == plan.needed_bytes
    assert frame.loc["allocator's slack", "GiB"] == 1.0


def test_phases_carry_their_totals(plan: Plan) -> None:
    frame = phase_table(plan).to_pandas()
    assert list(frame["total"]) == [moment.total_bytes / GIB for moment in plan.timeline]
    parts = frame.drop(columns=["phase", "total"]).sum(axis=1)
    assert list(parts) == list(frame["total"])
