"""What cards give, worked by hand from their rows of data/gpus.csv."""

from dataclasses import replace

import pytest

from planner.catalog import find_gpu
from planner.throughput.constants import constants
from planner.throughput.rates import UnknownRateError, lacks_bfloat16, rates_of, stacked

C = replace(constants(), matmul_share=0.9, unseen_share=0.8, emulated_share=0.5, attention_share=0.4)


def test_a_card_whose_best_product_was_measured_reaches_a_share_of_that() -> None:
    a100 = rates_of(find_gpu("a100-80gb-sxm"), C)
    assert a100.bfloat16_flops == pytest.approx(0.9 * 271e12)
    assert a100.attention_bfloat16_flops == pytest.approx(0.4 * 312e12)
    assert a100.peak_flops == pytest.approx(312e12)


def test_other_cards_take_the_rate_with_float32_accumulation() -> None:
    assert rates_of(find_gpu("l40s"), C).bfloat16_flops == pytest.approx(0.9 * 0.8 * 183.25e12)


def test_float32_products_do_not_use_tf32() -> None:
    assert rates_of(find_gpu("a100-80gb-sxm"), C).float32_flops == pytest.approx(0.9 * 19.49e12)


@pytest.mark.parametrize("name", ["t4", "v100-16gb"])
def test_bfloat16_without_tensor_cores_is_slow_and_float16_fast(name: str) -> None:
    gpu = find_gpu(name)
    rates = rates_of(gpu, C)
    assert lacks_bfloat16(gpu)
    assert gpu.fp32_tflops is not None and gpu.fp16_dense_tflops is not None
    assert rates.bfloat16_flops == pytest.approx(0.9 * 0.8 * 0.5 * gpu.fp32_tflops * 1e12)
    assert rates.float16_flops == pytest.approx(0.9 * 0.8 * gpu.fp16_dense_tflops * 1e12)


def test_a_card_without_a_rate_is_refused_with_its_name() -> None:
    with pytest.raises(UnknownRateError, match=r"^apple-m3-max-64gb: no matrix rate"):
        rates_of(find_gpu("apple-m3-max-64gb"), C)


def test_cards_stack_to_arrays() -> None:
    cards = [rates_of(find_gpu(name), C) for name in ("a100-80gb-sxm", "l4")]
    both = stacked(cards)
    assert list(both.memory_bytes) == [card.memory_bytes for card in cards]
