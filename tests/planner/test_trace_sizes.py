"""The sizes to trace at: on the request's side of windows and chunks, counted in steps of the grid."""

from fractions import Fraction
from typing import Any

import pytest

from planner.schema import parse_request
from planner.trace_sizes import Sizes, choose_sizes


def sizes(config: dict[str, Any], batch: int = 4, length: int = 1000) -> Sizes:
    fields = {"model": config, "method": "full", "per_device_train_batch_size": batch, "max_length": length}
    return choose_sizes(parse_request(fields), config)


def test_a_plain_model_is_traced_at_small_sizes() -> None:
    assert sizes({}) == Sizes((2, 3), (64, 128, 192), (5, 320))


def test_one_sequence_is_traced_as_one() -> None:
    assert sizes({}, batch=1) == Sizes((1,), (64, 128, 192), (1, 320))


@pytest.mark.parametrize(
    ("length", "lengths"),
    [(512, (576, 640, 704)), (4000, (576, 640, 704)), (511, (64, 128, 192))],
)
def test_a_window_is_passed_or_not_as_by_the_request(length: int, lengths: tuple[int, ...]) -> None:
    assert sizes({"text_config": {"sliding_window": 512}}, length=length).lengths == lengths


def test_below_a_small_window_the_steps_are_small() -> None:
    found = sizes({"sliding_window": 128}, length=100)
    assert found.held_out[1] < 128 and found.lengths[0] > 0


def test_no_length_is_beyond_the_positions() -> None:
    found = sizes({"n_positions": 100}, length=90)
    assert found.lengths == (20, 40, 60) and found.held_out == (5, 100)


def test_steps_are_whole_chunks() -> None:
    assert sizes({"mamba_chunk_size": 256}).lengths == (256, 512, 768)


def test_a_size_counted_in_steps() -> None:
    found = sizes({"sliding_window": 512}, length=4096)
    assert found.steps(2, 576) == (1, 1)
    assert found.steps(8, 608) == (7, Fraction(3, 2))
    assert found.steps(1, 512) == (0, 0)
