"""Invariants of data/throughput/ and data/measurements/speeds.csv: every assertion names the row it is about."""

from dataclasses import fields

import pytest

from planner.catalog import find_gpu
from planner.catalog.measurements import list_speeds
from planner.catalog.rows.speed import SpeedRow
from planner.catalog.throughput import list_constants
from planner.throughput.constants import Constants


@pytest.fixture(scope="module")
def speeds() -> list[SpeedRow]:
    return list_speeds()


def test_every_constant_of_the_code_has_its_row_and_every_row_is_used() -> None:
    assert [row.name for row in list_constants()] == [field.name for field in fields(Constants)]


def test_fitted_constants_lie_inside_their_bounds_and_others_have_none() -> None:
    for row in list_constants():
        if row.basis == "fitted":
            assert row.low is not None and row.high is not None and row.low <= row.value <= row.high, row.name
        else:
            assert row.low is None and row.high is None, row.name


def test_all_collected_speeds_are_there(speeds: list[SpeedRow]) -> None:
    assert len(speeds) == 431
    assert len({row.id for row in speeds}) == 431
    assert sum(row.completeness == "full" for row in speeds) == 345


def test_every_speed_has_its_link_and_its_words(speeds: list[SpeedRow]) -> None:
    for row in speeds:
        assert row.source_url.startswith("https://"), row.id
        assert len(row.quote) > 5, row.id


def test_speeds_are_plausible(speeds: list[SpeedRow]) -> None:
    for row in speeds:
        if row.tokens_per_second is not None:
            assert 50 < row.tokens_per_second / row.num_gpus < 200_000, row.id


def test_cards_of_full_rows_are_in_the_catalogue(speeds: list[SpeedRow]) -> None:
    for row in speeds:
        if row.completeness == "full":
            assert find_gpu(row.gpu).bf16_gemm_flops or row.dtype == "float32", row.id
