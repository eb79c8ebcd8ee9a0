"""Limits are maximal and advice is true: both are checked against the estimate itself."""

from typing import Any

import pytest

from planner.advise import Suggestion, advise, apply_changes
from planner.answer import Plan
from planner.estimate import estimate
from planner.limits import largest_batch, longest_allowed, longest_sequence
from planner.schema import PlanRequest, parse_request

CASES: dict[str, dict[str, Any]] = {
    "1b-full": {"model": "llama-3.2-1b", "method": "full", "gpu": "rtx-4090"},
    "1b-full-eager": {"model": "llama-3.2-1b", "method": "full", "gpu": "rtx-4090", "attn_implementation": "eager"},
    "8b-lora": {"model": "llama-3.1-8b", "method": "lora", "gpu": "rtx-4090", "max_length": 2048},
    "8b-lora-batch": {
        **{"model": "llama-3.1-8b", "method": "lora", "gpu": "a100-80gb", "per_device_train_batch_size": 8},
        **{"max_length": 4096, "attn_implementation": "eager"},
    },
    "7b-full": {"model": "mistral-7b-v0.1", "method": "full", "gpu": "h100-sxm", "optim": "adamw_torch"},
    "7b-full-fp32": {"model": "mistral-7b-v0.1", "method": "full", "gpu": "b200", "dtype": "float32"},
    "7b-full-paged": {"model": "mistral-7b-v0.1", "method": "full", "gpu": "rtx-4090", "optim": "paged_adamw"},
    "7b-full-8bit": {"model": "mistral-7b-v0.1", "method": "full", "gpu": "l40s", "optim": "adamw_bnb_8bit"},
    "70b-qlora": {"model": "llama-3.3-70b", "method": "qlora", "gpu": "rtx-4090"},
    "70b-qlora-large": {"model": "llama-3.3-70b", "method": "qlora", "gpu": "h100-sxm", "max_length": 4096},
    "gemma2-lora": {"model": "gemma-2-9b", "method": "lora", "gpu": "rtx-4090", "gradient_checkpointing": True},
    "270m-qlora": {"model": "gemma-3-270m", "method": "qlora", "gpu": "t4"},
    "phi3-lora": {"model": "phi-3-mini-4k-instruct", "method": "lora", "gpu": "rtx-3060-12gb", "max_length": 512},
    "1b-lora": {
        **{"model": "llama-3.2-1b", "method": "lora", "gpu": "h100-sxm", "max_length": 256},
        **{"gradient_checkpointing": True, "loss": "chunked"},
    },
    "405b-lora": {"model": "llama-3.1-405b", "method": "lora", "gpu": "h200"},
    "8b-accumulated": {
        **{"model": "llama-3.1-8b", "method": "qlora", "gpu": "l4", "gradient_accumulation_steps": 4},
        **{"per_device_train_batch_size": 4, "max_length": 1024},
    },
}


def request(name: str) -> PlanRequest:
    return parse_request(CASES[name])


def changed(asked: PlanRequest, **fields: Any) -> Plan:
    return estimate(parse_request({**asked.model_dump(exclude_unset=True), **fields}))


def needed_bytes(plan: Plan) -> int:
    """What must stay on the card: all but paged states."""
    assert plan.usable_bytes is not None and plan.headroom_bytes is not None
    return plan.usable_bytes - plan.headroom_bytes


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_the_largest_batch_fits_and_one_more_does_not(name: str) -> None:
    asked = request(name)
    largest = largest_batch(asked)
    if largest is not None:
        assert changed(asked, per_device_train_batch_size=largest).verdict == "fits"
    assert changed(asked, per_device_train_batch_size=(largest or 0) + 1).verdict != "fits"


@pytest.mark.parametrize("name", CASES)
def test_the_longest_sequence_fits_and_one_token_more_does_not(name: str) -> None:
    asked = request(name)
    longest = longest_sequence(asked)
    if longest is not None:
        assert changed(asked, max_length=longest).verdict == "fits"
    if longest != longest_allowed(asked):
        assert changed(asked, max_length=(longest or 0) + 1).verdict != "fits"


def test_cases_reach_every_outcome() -> None:
    batches = [largest_batch(request(name)) for name in CASES]
    assert None in batches and any(n and n > 8 for n in batches)
    assert {estimate(request(name)).verdict for name in CASES} == {"fits", "tight", "does not fit"}


def test_a_length_is_bounded_by_the_models_positions() -> None:
    asked = parse_request({"model": "openai-community/gpt2", "method": "lora", "gpu": "h100-sxm"})
    assert longest_sequence(asked) == longest_allowed(asked) == 1024


def test_without_a_card_there_are_no_limits_and_no_advice() -> None:
    asked = parse_request({"model": "llama-3.2-1b", "method": "lora"})
    assert largest_batch(asked) is None and longest_sequence(asked) is None
    assert advise(asked, estimate(asked)) == ()


# -- advice ----------------------------------------------------------------------------------------------------------


def advice(name: str) -> tuple[PlanRequest, Plan, tuple[Suggestion, ...]]:
    asked = request(name)
    plan = estimate(asked)
    return asked, plan, advise(asked, plan)


@pytest.mark.parametrize("name", CASES)
def test_advice_is_what_the_estimate_says_after_the_change(name: str) -> None:
    asked, _, found = advice(name)
    for suggestion in found:
        after = estimate(apply_changes(asked, suggestion.changes))
        assert after.verdict == suggestion.verdict, suggestion
        assert after.usable_bytes == suggestion.usable_bytes, suggestion
        assert needed_bytes(after) == suggestion.device_bytes, suggestion


@pytest.mark.parametrize("name", CASES)
def test_no_advice_on_the_same_card_saves_nothing(name: str) -> None:
    _, plan, found = advice(name)
    for suggestion in found:
        if "gpu" not in suggestion.changes:
            assert suggestion.saves_bytes == needed_bytes(plan) - suggestion.device_bytes > 0, suggestion


@pytest.mark.parametrize("name", CASES)
def test_advice_is_given_where_the_run_does_not_fit_and_only_there(name: str) -> None:
    _, plan, found = advice(name)
    assert bool(found) == (plan.verdict != "fits")


@pytest.mark.parametrize("name", CASES)
def test_advice_has_words_and_comes_once(name: str) -> None:
    found = advice(name)[2]
    assert all(s.label.strip() and s.price.strip() and s.changes for s in found)
    assert len({s.label for s in found}) == len(found)


@pytest.mark.parametrize("name", CASES)
def test_advice_that_fits_comes_first(name: str) -> None:
    fits = [s.verdict == "fits" for s in advice(name)[2]]
    assert fits == sorted(fits, reverse=True)


def test_a_larger_card_has_more_memory_than_the_one_asked_for() -> None:
    for name in CASES:
        _, plan, found = advice(name)
        for suggestion in found:
            if "gpu" in suggestion.changes:
                assert plan.usable_bytes is not None and suggestion.usable_bytes > plan.usable_bytes


def test_changes_merge_into_nested_settings() -> None:
    asked = parse_request({**CASES["70b-qlora"], "quantization": {"bnb_4bit_quant_type": "fp4"}})
    after = apply_changes(asked, {"quantization": {"upcast_unquantized": False}})
    assert after.quantization is not None
    assert after.quantization.bnb_4bit_quant_type == "fp4" and not after.quantization.upcast_unquantized


def test_settings_that_the_new_method_lacks_are_dropped() -> None:
    asked = parse_request({**CASES["70b-qlora"], "quantization": {}, "lora": {"r": 8}})
    after = apply_changes(asked, {"method": "full"})
    assert after.lora is None and after.quantization is None
