"""Inputs, URL, request and command: four spellings of one question."""

import json
import shlex
from typing import Any

import pytest
from click.testing import CliRunner

from planner.advise import advise, apply_changes
from planner.cli.root import tunebudget
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.schema import parse_request
from ui import links, state

SEVERAL = {
    "first question": {},
    "full": {"method": "full", "gpu": "h100-sxm", "gradient_checkpointing": True},
    "qlora": {"method": "qlora", "bnb_4bit_quant_type": "fp4", "upcast_unquantized": False, "lora_r": 64},
    "attention": {"target_modules": "attention", "lora_dropout": 0.05},
    "named modules": {"target_modules": "q_proj, v_proj", "padding": "padded"},
    "several cards": {"num_gpus": 4, "strategy": "ddp", "gradient_checkpointing": True, "use_reentrant": True},
    "dataset in tokens": {"num_tokens": 10**8, "num_train_epochs": 3.0, "pricing": "spot", "restart_allowance": 0.1},
    "dataset in examples": {"num_examples": 52_000, "mean_length": 250.0, "pricing": "owned", "power_w": 300.0},
    "alias": {"model": "llama3.1:8b", "gpu": "RTX 4090", "autocast_adapter_dtype": False},
}


def test_every_default_is_a_choice_and_makes_a_request() -> None:
    request = state.request_from_values(state.defaults())
    assert (request.model, request.method, request.gpu) == ("meta-llama/Llama-3.1-8B", "lora", "rtx-4090")
    assert request.model_fields_set == {"model", "method", "gpu"}


def test_empty_inputs_take_their_first_value() -> None:
    assert state.request_from_values(dict.fromkeys(state.FIELDS)) == state.request_from_values({})


@pytest.mark.parametrize("values", SEVERAL.values(), ids=SEVERAL)
def test_the_command_gives_the_same_answer(values: dict[str, Any]) -> None:
    request = state.request_from_values(values)
    _, *words = shlex.split(links.cli_command(request))
    result = CliRunner().invoke(tunebudget, [*words, "--json"], catch_exceptions=False)
    answer = json.loads(result.stdout)
    assert answer["device_bytes"] == estimate(request).device_bytes


@pytest.mark.parametrize("values", SEVERAL.values(), ids=SEVERAL)
def test_the_request_as_json_is_the_request(values: dict[str, Any]) -> None:
    request = state.request_from_values(values)
    assert parse_request(json.loads(request.model_dump_json(exclude_none=True))) == request


def test_settings_that_the_method_has_no_use_for_are_left_out() -> None:
    request = state.request_from_values(
        {"method": "full", "lora_r": 64, "upcast_unquantized": False, "strategy": "ddp"}
    )
    assert request.lora is None
    assert request.quantization is None
    assert request.parallelism.strategy == "none"


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        ("meta-llama/Llama-3.1-8B", ("k_proj", "o_proj", "q_proj", "v_proj")),
        ("openai-community/gpt2", ("attn.c_proj", "c_attn")),
        ("Qwen/Qwen2-VL-2B-Instruct", ("k_proj", "o_proj", "q_proj", "v_proj")),
    ],
)
def test_attention_names_the_linears_of_the_attention(model: str, targets: tuple[str, ...]) -> None:
    request = state.request_from_values({"model": model, "target_modules": "attention", "max_length": 512})
    assert request.lora is not None
    assert request.lora.target_modules == targets


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model": "no-such-model"}, "neither in the catalogue"),
        ({"model": "/etc/passwd"}, "the page opens no files"),
        ({"model": "./config.json"}, "the page opens no files"),
        ({"per_device_train_batch_size": 10**9}, "per_device_train_batch_size"),
        ({"max_length": 0}, "max_length"),
        ({"lora_r": 10**9}, "lora.r"),
        ({"lora_dropout": 1.0}, "lora.lora_dropout"),
        ({"optim": "adam"}, "optim"),
        ({"method": "doras"}, "method"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_field(values: dict[str, Any], words: str) -> None:
    with pytest.raises(PlannerError) as refusal:
        state.request_from_values(values)
    assert words in refusal.value.message
    assert "\n" not in refusal.value.message


@pytest.mark.parametrize("values", SEVERAL.values(), ids=SEVERAL)
def test_suggestions_put_into_the_inputs_give_the_suggested_request(values: dict[str, Any]) -> None:
    request = state.request_from_values(values)
    for suggestion in advise(request, estimate(request)):
        changed = state.values_from_changes(suggestion.changes)
        assert changed is not None, suggestion.label
        by_page, by_planner = state.request_from_values(values | changed), apply_changes(request, suggestion.changes)
        assert estimate(by_page).device_bytes == estimate(by_planner).device_bytes


def test_changes_that_no_input_can_make_are_told_apart() -> None:
    assert state.values_from_changes({"id": "another"}) is None
    assert state.values_from_changes({"lora": {"target_modules": ["q_proj", "v_proj"]}}) == {
        "target_modules": "q_proj, v_proj"
    }


def test_a_link_holds_what_differs_from_the_first_question() -> None:
    assert links.link("http://127.0.0.1:8501", {}) == "http://127.0.0.1:8501/"
    values = {"method": "qlora", "gradient_checkpointing": True, "model": "Qwen/Qwen3-4B"}
    assert links.link("http://host/", values) == (
        "http://host/?model=Qwen%2FQwen3-4B&method=qlora&gradient_checkpointing=true"
    )


def test_examples_are_questions_the_planner_answers() -> None:
    verdicts = {estimate(state.request_from_values(values)).verdict for values in state.EXAMPLES.values()}
    assert {"fits", "does not fit"} <= verdicts


def test_a_stack_sets_the_inputs_and_what_it_set_is_left_to_it() -> None:
    filled = state.change_of_stack({}, state.NO_STACK, "trl", "lora")
    theirs = {"optim": "adamw_torch_fused", "use_reentrant": False}
    assert filled == {"gradient_checkpointing": True, "mixed_precision": "bf16", "loss": "chunked", **theirs}
    request = state.request_from_values({"stack": "trl", **filled})
    assert request.model_fields_set == {"model", "method", "gpu", "stack"}


def test_what_the_sidebar_shows_is_what_is_planned_whatever_the_stack_sets() -> None:
    request = state.request_from_values({"stack": "trl", "gradient_checkpointing": False, "loss": "chunked"})
    assert "gradient_checkpointing" in request.model_fields_set
    assert not request.gradient_checkpointing
    assert "loss" not in request.model_fields_set


def test_another_stack_takes_back_what_the_former_set_and_nobody_changed() -> None:
    held = {"gradient_checkpointing": True, "mixed_precision": "fp16", "loss": "chunked"}
    assert state.change_of_stack(held, "trl", state.NO_STACK, "lora") == {
        "gradient_checkpointing": False,
        "loss": "full",
    }


@pytest.mark.parametrize("stack", ["no-such", "trl@abc", "trl@1..2", "@", ""])
def test_a_stack_that_is_none_sets_nothing(stack: str) -> None:
    assert state.stack_fills(stack, "lora") == {}


def test_a_dataset_in_halves_says_nothing_yet_and_tokens_go_before_examples() -> None:
    assert state.request_from_values({"num_examples": 1000, "num_train_epochs": 3.0}).dataset is None
    both = state.request_from_values({"num_tokens": 10**6, "num_examples": 1000, "mean_length": 10.0})
    assert both.dataset is not None
    assert (both.dataset.num_tokens, both.dataset.num_examples) == (10**6, None)


def test_terms_of_another_way_to_pay_are_left_out() -> None:
    request = state.request_from_values({"pricing": "spot", "power_w": 300.0, "provider": "aws"})
    assert request.pricing.model_dump(exclude_unset=True) == {"kind": "spot", "provider": "aws"}
    assert state.request_from_values({"pricing": "owned", "provider": "aws"}).pricing.provider is None


def test_another_method_brings_what_the_stack_has_for_it_and_leaves_what_was_changed() -> None:
    held = {"stack": "llamafactory", "method": "lora", **state.change_of_stack({}, "", "llamafactory", "lora")}
    assert state.change_of_method(held, "qlora")["upcast_unquantized"] is False
    changed = held | {"lora_r": 64, "gradient_checkpointing": False}
    assert state.change_of_method(changed, "qlora").keys().isdisjoint({"lora_r", "gradient_checkpointing"})
    assert state.change_of_method({"stack": state.NO_STACK, "method": "lora"}, "full") == {}
