"""A step's time: its parts, what makes it longer, arrays against single answers."""

from dataclasses import replace

import numpy as np
import pytest

from planner.catalog import find_gpu
from planner.estimate import estimate
from planner.prepare import prepare
from planner.throughput.answer import StepTime
from planner.throughput.compiled import step_load
from planner.throughput.constants import constants
from planner.throughput.rates import rates_of, stacked
from planner.throughput.step_time import ask, step_time
from planner.throughput.timed import asked_of, step_time_of
from tests.planner.throughput.asks import asked

A100 = find_gpu("a100-80gb-sxm")
C = constants()
LARGE = {"model": "mistralai/Mistral-7B-v0.1", "per_device_train_batch_size": 4, "max_length": 2048}


def timed(**fields: object) -> StepTime:
    return step_time_of(asked(**fields), A100)


def part(time: StepTime, name: str) -> float:
    return sum(float(one.seconds) for one in time.parts if one.name == name)


def test_parts_sum_to_the_step_and_the_band_holds_it() -> None:
    time = timed(**LARGE)
    assert sum(one.seconds for one in time.parts) == pytest.approx(time.expected_seconds)
    assert time.low_seconds < time.expected_seconds < time.high_seconds
    assert all(one.seconds >= 0 and one.formula and one.source for one in time.parts)


def test_products_take_their_operations_over_the_rate() -> None:
    time = timed(**LARGE)
    tokens, params = 4 * 2048, 7.11e9  # without embeddings
    at_best = 6 * tokens * params / rates_of(A100, C).bfloat16_flops
    assert at_best < part(time, "matrix products") < 1.3 * at_best


def test_tokens_of_all_devices_and_micro_batches_count() -> None:
    time = timed(**LARGE, gradient_accumulation_steps=3, num_gpus=2, parallelism={"strategy": "ddp"})
    assert time.tokens_per_second * time.expected_seconds == pytest.approx(4 * 2048 * 3 * 2)


def test_recomputing_costs_time_and_lies_between_mfu_and_hfu() -> None:
    plain, again = timed(**LARGE), timed(**LARGE, gradient_checkpointing=True)
    assert again.expected_seconds > 1.2 * plain.expected_seconds
    assert plain.mfu == pytest.approx(plain.hfu)
    assert 1.2 < again.hfu / again.mfu < 4 / 3  # the head is not recomputed


def test_small_steps_wait_for_the_host() -> None:
    time = timed()
    stacked_request, prepared = prepare(asked())
    calls = step_load(prepared, stacked_request.request, 1, 1024).calls
    assert part(time, "waiting for the host") > 0
    assert time.expected_seconds >= calls * C.launch_seconds


def test_a_dequantized_base_is_slower_than_one_in_16_bits() -> None:
    sixteen = {"autocast_adapter_dtype": False}  # in float32, PEFT casts the inputs of LoRA's and not of bitsandbytes'
    lora, qlora = (timed(**LARGE, method=method, lora=sixteen) for method in ("lora", "qlora"))
    assert qlora.expected_seconds > lora.expected_seconds
    assert part(qlora, "dequantization") > 0


def test_offload_adds_what_crosses_the_link() -> None:
    sharded = {"num_gpus": 2, "parallelism": {"strategy": "zero3"}}
    kept = timed(**LARGE, **sharded)
    moved = timed(**LARGE, num_gpus=2, parallelism={"strategy": "zero3", "offload_optimizer": True})
    elements = 7.24e9 / 2
    crossed = 2 * 2 * elements / (rates_of(A100, C).host_bytes * C.host_link_share)
    update = 28 * elements / (C.host_update_gb_s * 1e9)
    assert part(moved, "optimizer on the host") == pytest.approx(crossed + update, rel=0.01)
    assert part(moved, "optimizer step") == 0
    assert moved.expected_seconds > kept.expected_seconds


def test_states_that_left_the_card_come_back_over_the_link() -> None:
    request = asked(**LARGE, optim="paged_adamw_32bit")
    time = step_time_of(request, A100, paged_bytes=10**10)
    assert part(time, "paged states") == pytest.approx(2e10 / (31.5e9 * C.host_link_share))


def test_a_pipeline_waits_for_its_stages() -> None:
    stages = {"strategy": "none", "pipeline_parallel_size": 4}
    few = timed(**LARGE, num_gpus=4, parallelism=stages)
    many = timed(**LARGE, num_gpus=4, parallelism=stages, gradient_accumulation_steps=16)
    assert part(few, "pipeline bubble") == pytest.approx(part(many, "pipeline bubble"), rel=0.02)
    assert many.mfu > 2 * few.mfu


def test_arrays_of_batches_lengths_and_cards_equal_single_answers() -> None:
    request = asked(model=LARGE["model"], method="lora")
    stacked_request, prepared = prepare(request)
    batches, lengths = np.array([[2], [4]]), np.array([[512], [2048]])
    cards = [find_gpu(name) for name in ("a100-80gb-sxm", "l4", "h100-sxm")]
    rates = stacked([rates_of(card, C) for card in cards])
    many = step_time(ask(stacked_request.request, prepared, batches, lengths), rates)
    for row, (batch, length) in enumerate([(2, 512), (4, 2048)]):
        one = ask(stacked_request.request, prepared, batch, length)
        for column, card in enumerate(cards):
            single = step_time(one, rates_of(card, C))
            assert many.expected_seconds[row, column] == pytest.approx(single.expected_seconds)
            assert many.mfu[row, column] == pytest.approx(single.mfu)


def test_plans_say_it_where_a_card_is_named() -> None:
    plan = estimate(asked(**LARGE))
    time = timed(**LARGE)
    assert plan.step_seconds == pytest.approx(time.expected_seconds)
    assert plan.tokens_per_second == pytest.approx(time.tokens_per_second)
    assert plan.step_seconds_low is not None and plan.step_seconds_high is not None
    assert plan.step_seconds_low < plan.step_seconds < plan.step_seconds_high
    assert sum(part.seconds for part in plan.step_parts) == pytest.approx(plan.step_seconds)
    assert estimate(asked(**LARGE, gpu=None)).step_seconds is None


def test_a_card_without_a_known_rate_says_so_in_the_notes() -> None:
    plan = estimate(asked(gpu="apple-m3-max-64gb"))
    assert plan.step_seconds is None
    assert any("step time is not estimated" in note for note in plan.notes)


def test_cards_that_no_measured_run_used_say_so() -> None:
    assert any("no measured speed of a card of this vendor" in note for note in estimate(asked(gpu="mi300x")).notes)
    assert any("no bfloat16 tensor cores" in note for note in estimate(asked(gpu="t4")).notes)


def test_adapters_without_a_named_stack_are_timed_under_autocast_and_say_so() -> None:
    unnamed, named = estimate(asked(method="lora")), estimate(asked(method="lora", stack="transformers"))
    assert any("under autocast" in note for note in unnamed.notes)
    assert not any("under autocast" in note for note in named.notes)
    assert unnamed.peak_bytes == named.peak_bytes


def test_an_8_bit_base_is_timed() -> None:
    eight = timed(**LARGE, method="qlora", quantization={"load_in_8bit": True})
    products = part(timed(**LARGE, method="lora"), "matrix products")
    assert part(eight, "matrix products") == pytest.approx(products, rel=0.2)


def test_a_stack_with_kernels_of_its_own_moves_fewer_bytes() -> None:
    adapted = LARGE | {"method": "lora", "mixed_precision": "bf16", "gradient_checkpointing": True, "loss": "full"}
    plain, fused = (timed(**adapted, stack=stack) for stack in ("transformers@4.45.2", "fms-acceleration@0.4"))
    ratio = part(fused, "elementwise operations") / part(plain, "elementwise operations")
    assert ratio == pytest.approx(C.fused_traffic_share / C.plain_traffic_share, rel=0.01)


def test_small_kernels_find_in_the_cache_what_the_one_before_wrote() -> None:
    """Their traffic shrinks by cache / (cache + bytes of a call), times the share of it that can stay at all."""
    with_cache = rates_of(find_gpu("l40s"), C)
    without = replace(with_cache, cache_bytes=0.0)
    shares = []
    for length in (64, 65_536):
        put = asked_of(asked(max_length=length))
        kinds = [put.load.kinds[kind] for kind in ("elementwise", "norm", "softmax") if kind in put.load.kinds]
        touched = sum(kind.bytes for kind in kinds) / sum(kind.calls for kind in kinds)
        expected = C.cache_share * 48e6 / (48e6 + touched)
        small, plain = (part(step_time(put, rates), "elementwise operations") for rates in (with_cache, without))
        assert small == pytest.approx(plain * (1 - expected), rel=1e-6)
        shares.append(expected)
    assert shares[0] > 0.9 * C.cache_share > 2 * shares[1]
