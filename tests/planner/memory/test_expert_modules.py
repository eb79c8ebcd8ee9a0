"""Experts as transformers 4 runs them: linears one after the other, each on the tokens that chose it."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.catalog.gpus import find_gpu
from planner.estimate import estimate
from planner.schema import parse_request
from planner.throughput.timed import step_time_of

LAYERS, EXPERTS, TOP_K, HIDDEN, WIDE, RANK, HEADS, KV_HEADS = 3, 4, 2, 64, 128, 8, 4, 2
SIZES = {
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": 1000,
}
MIXTRAL = {"model_type": "mixtral", "num_local_experts": EXPERTS, "num_experts_per_tok": TOP_K, **SIZES}
MISTRAL = {"model_type": "mistral", **SIZES}
CASES: dict[str, dict[str, Any]] = {
    "full": {"method": "full", "dtype": "float32"},
    "checkpointing": {"method": "full", "dtype": "bfloat16", "gradient_checkpointing": True},
    "lora": {"method": "lora", "dtype": "bfloat16", "lora": {"r": RANK, "target_modules": "all-linear"}},
}
#: Peaks of two steps of 4 x 256 tokens on a CPU with transformers 4.57.3, peft 0.21.2 and torch 2.13, as
#: profiler.measure follows them: of the mixture, and of the dense model of the same sizes.
MEASURED = {
    "full": (47286808, 33355168),
    "checkpointing": (16256408, 14924576),
    "lora": (36673472, 27208784),
}


def plan(model: dict[str, Any] | str, **fields: Any) -> Plan:
    sizes = {"per_device_train_batch_size": 4, "max_length": 256, "stack": "transformers@4.57"}
    return estimate(parse_request({"model": model, "device": "cpu", **sizes, **fields}))


@pytest.mark.parametrize("case", CASES)
def test_what_experts_add_to_the_peak_is_what_was_measured(case: str) -> None:
    mixture, dense = (plan(model, **CASES[case]).peak_bytes for model in (MIXTRAL, MISTRAL))
    assert mixture - dense == MEASURED[case][0] - MEASURED[case][1]


def test_adapters_are_those_of_every_linear() -> None:
    attention = 2 * (HIDDEN + HIDDEN) + 2 * (HIDDEN + HIDDEN * KV_HEADS // HEADS)
    experts, router = EXPERTS * 3 * (HIDDEN + WIDE), HIDDEN + EXPERTS
    assert plan(MIXTRAL, **CASES["lora"]).trainable_params == LAYERS * RANK * (attention + experts + router)


def test_operations_are_those_of_the_chosen_experts() -> None:
    """With adapters the weights of linears have no gradients: forward and one product in backward."""
    tokens = 4 * 256
    experts = 2 * tokens * TOP_K * 3 * HIDDEN * WIDE
    lora = {"r": RANK, "target_modules": ["q_proj"]}
    mixture, dense = (
        plan(m, method="lora", lora=lora, per_device_train_batch_size=4).flops_per_step for m in (MIXTRAL, MISTRAL)
    )
    mlp, router = 2 * tokens * 3 * HIDDEN * WIDE, 2 * tokens * HIDDEN * EXPERTS
    # the first layer's input needs no gradient, but q_proj's output does: all layers' experts run backward
    assert mixture - dense == 2 * LAYERS * (experts + router - mlp)


def test_dropout_of_experts_adapters_is_no_error_where_they_are_linears() -> None:
    lora = {"r": RANK, "target_modules": "all-linear", "lora_dropout": 0.1}
    assert plan(MIXTRAL, method="lora", lora=lora).peak_bytes > plan(MIXTRAL, **CASES["lora"]).peak_bytes


def test_stacks_that_never_were_linears_stay_stacks() -> None:
    asked = {"method": "qlora", "lora": {"target_modules": ["q_proj"]}, "quantization": {"upcast_unquantized": False}}
    for version in ("4.57", "5.23"):
        found = plan("openai/gpt-oss-20b", **asked, device="cuda", stack=f"transformers@{version}")
        assert any("experts" in note for note in found.notes)


def test_quantized_experts_are_timed_in_the_dtype_that_they_compute_in() -> None:
    """Upcasting what is not quantized does not slow experts' products, which are made in 16 bits."""
    asked = {
        "model": "mistralai/Mixtral-8x7B-v0.1",
        "method": "qlora",
        "gpu": "a100-80gb-sxm",
        "max_length": 4096,
        "lora": {"target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
        "attn_implementation": "flash_attention_2",
        "gradient_checkpointing": True,
        "stack": "transformers@4.45",
    }
    gpu = find_gpu("a100-80gb-sxm")
    products = []
    for upcast in (True, False):
        request = parse_request({**asked, "quantization": {"upcast_unquantized": upcast}})
        time = step_time_of(request, gpu)
        products.append(next(part.seconds for part in time.parts if part.name == "matrix products"))
    assert products[1] < products[0] < 1.25 * products[1]
