"""DoRA, (IA)^3, AdaLoRA and the prompt methods against real steps of PEFT, and their counts by hand."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import RequestError
from planner.estimate import estimate
from planner.schema import parse_request

GOLDEN = Path(__file__).parents[2] / "golden" / "measured_methods.jsonl"
LINES = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
#: |peak error| allowed: followed operation by operation, or modelled.
EXACT, PROMPTS, PREFIX = 0.001, 0.02, 0.10
ALLOWED = {"dora": EXACT, "qlora": EXACT, "ia3": EXACT, "adalora": EXACT, "prefix_tuning": PREFIX}

HIDDEN, WIDE, LAYERS, KEYS = 256, 768, 3, 128
MODEL: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 2000,
    "tie_word_embeddings": False,
}


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["request"]["id"])
def test_plans_equal_real_steps(line: dict[str, Any]) -> None:
    plan, measured = estimate(parse_request(line["request"])), line["measured"]
    assert plan.weights_bytes == measured["weights_bytes"]
    assert plan.trainable_params == measured["trainable_params"]
    assert plan.steady_bytes == pytest.approx(measured["steady_bytes"], rel=1e-4)
    assert plan.peak_bytes == pytest.approx(measured["peak_bytes"], rel=ALLOWED.get(plan.method, PROMPTS))


def trained(method: str, **more: Any) -> int:
    return estimate(parse_request({"model": MODEL, "method": method, **more})).trainable_params


def test_adaloras_orthogonality_term_makes_gradients_before_the_loss_does() -> None:
    fields = {"model": MODEL, "method": "adalora", "max_length": 64, "dtype": "float32", "device": "cpu"}
    plan = estimate(parse_request(fields | {"lora": {"r": 8, "target_modules": ["q_proj"]}}))
    waiting = [term for term in plan.terms if term.name == "gradients of the orthogonality term"]
    assert plan.peak_phase == "backward_head"
    assert [term.bytes for term in waiting] == [LAYERS * 2 * 8 * HIDDEN * 4]


@pytest.mark.parametrize("strategy", ["ddp", "zero1", "zero2", "zero3", "fsdp"])
def test_the_orthogonality_terms_gradients_wait_under_every_strategy(strategy: str) -> None:
    fields = {"model": MODEL, "method": "adalora", "num_gpus": 2, "parallelism": {"strategy": strategy}}
    plan = estimate(parse_request(fields | {"lora": {"r": 8, "target_modules": ["q_proj"]}}))
    backward = next(moment for moment in plan.timeline if moment.phase == "backward_layers")
    assert backward.live_bytes["gradients"] >= LAYERS * 2 * 8 * HIDDEN * 4


def test_dora_adds_a_magnitude_an_output() -> None:
    targets = {"lora": {"r": 8, "target_modules": ["q_proj", "down_proj"]}}
    assert trained("dora", **targets) - trained("lora", **targets) == LAYERS * (HIDDEN + HIDDEN)
    assert trained("dora") == trained("lora", lora={"use_dora": True})


def test_ia3_scales_keys_values_and_the_input_of_the_down_projection() -> None:
    assert trained("ia3") == LAYERS * (2 * KEYS + WIDE)


def test_prompts_are_embeddings() -> None:
    assert trained("prompt_tuning", prompt={"num_virtual_tokens": 7}) == 7 * HIDDEN
    assert trained("prefix_tuning") == 20 * LAYERS * 2 * KEYS
    encoder = (HIDDEN * 64 + 64) + (64 * 64 + 64) + (64 * HIDDEN + HIDDEN)
    wide = {"model": MODEL | {"head_dim": 2 * HIDDEN // 4}}
    assert trained("prefix_tuning", **wide) == 20 * LAYERS * 2 * 2 * KEYS
    assert trained("p_tuning", prompt={"encoder_hidden_size": 64}) == 20 * HIDDEN + encoder


def test_adalora_leaves_stacks_of_experts_alone() -> None:
    """peft 0.21: AdaLoraModel has no layer for parameters; ranknum trains once it is moved to another dtype."""
    mixtral = {"model": MODEL | {"model_type": "mixtral", "num_local_experts": 4}}
    linears, rank = 2 * (HIDDEN + HIDDEN) + 2 * (HIDDEN + KEYS), 8
    of_four = linears * rank + 4 * rank
    assert trained("adalora", lora={"r": rank}, **mixtral) == LAYERS * (of_four + 4)
    assert trained("adalora", lora={"r": rank}, dtype="float32", device="cpu", **mixtral) == LAYERS * of_four


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"method": "dora", "model": {**MODEL, "model_type": "mixtral"}}, "lora.use_dora"),
        ({"method": "ia3", "lora": {"r": 8}}, "lora"),
        ({"method": "lora", "prompt": {"num_virtual_tokens": 3}}, "prompt"),
        ({"method": "prefix_tuning", "gradient_checkpointing": True}, "gradient_checkpointing"),
        ({"method": "ia3", "model": {**MODEL, "model_type": "olmo2"}}, "method"),
    ],
)
def test_what_peft_does_not_do_is_refused(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError, match=f"^{field}:"):
        estimate(parse_request({"model": MODEL, **asked}))
