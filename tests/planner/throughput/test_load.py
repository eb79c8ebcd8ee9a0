"""Loads: what is summed of kernels, and what their shapes cost."""

from dataclasses import replace

import pytest

from planner.memory.work import Work
from planner.throughput.constants import constants
from planner.throughput.load import load_of, shape_factor

C = replace(constants(), half_side=100.0, half_depth=50.0)
PRODUCT = Work("matmul", "forward", "bfloat16", 2 * 1000 * 200 * 50, 700, 3, 1000, 200, 50)


def test_a_product_with_a_side_at_the_half_takes_twice_as_long() -> None:
    assert shape_factor(PRODUCT, C) == pytest.approx((1 + 0.1) * (1 + 0.5) * (1 + 1))


def test_products_are_weighted_by_their_shape_and_counted_without() -> None:
    load = load_of([PRODUCT, replace(PRODUCT, phase="recompute")], C)
    assert load.flops == 2 * 3 * 2e7
    assert load.recomputed_flops == 3 * 2e7
    assert load.kinds["matmul"].flops == {"bfloat16": pytest.approx(2 * 3 * 2e7 * 1.1 * 1.5 * 2)}
    assert load.kinds["matmul"].bytes == 2 * 3 * 700
    assert load.calls == 6


def test_attention_is_asked_for_what_is_not_masked() -> None:
    work = Work("attention", "forward", "bfloat16", 1000, 10, 2, masked_flops=400)
    load = load_of([work], C)
    assert load.kinds["attention"].flops == {"bfloat16": 1200}
    assert load.flops == 2000


def test_other_kernels_are_bytes_and_calls() -> None:
    load = load_of([Work("norm", "backward", "float32", 0, 10, 4), Work("loss", "forward", "float32", 0, 7, 1)], C)
    assert (load.kinds["norm"].bytes, load.kinds["loss"].bytes, load.flops) == (40, 7, 0)
