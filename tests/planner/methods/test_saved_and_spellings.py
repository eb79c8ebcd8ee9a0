"""modules_to_save and other libraries' names of modules."""

from typing import Any

import pytest

from planner.errors import RequestError
from planner.estimate import estimate
from planner.schema import parse_request

VOCAB, HIDDEN = 8000, 256
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
}
NEOX = {
    "model_type": "gpt_neox",
    "hidden_size": HIDDEN,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": VOCAB,
}


def trained(lora: dict[str, Any], model: dict[str, Any] = LLAMA, **more: Any) -> int:
    asked = {"model": model, "method": "lora", "max_length": 128, "lora": {"r": 8, **lora}, **more}
    return estimate(parse_request(asked)).trainable_params


def test_saved_modules_are_trained_as_copies() -> None:
    targets = {"target_modules": ["q_proj", "v_proj"]}
    alone, both = trained(targets), trained({**targets, "modules_to_save": ["embed_tokens", "lm_head"]})
    assert both - alone == 2 * VOCAB * HIDDEN


#: Two real steps on a CPU of llama, lora, batch 2 x 128 (profiler.measure): bytes of weights, between steps, at the
#: peak; the peak within 8 bytes, a scalar of the loss.
MEASURED = [
    ({"modules_to_save": ["embed_tokens", "lm_head"]}, {}, 20012800, 36568888, 68324160),
    (
        {"modules_to_save": ["embed_tokens"]},
        {"method": "qlora", "gradient_checkpointing": True},
        25605188,
        42161272,
        67853440,
    ),
    (
        {"modules_to_save": ["embed_tokens", "lm_head"]},
        {"model": LLAMA | {"tie_word_embeddings": True}, "mixed_precision": "bf16", "gradient_accumulation_steps": 2},
        15916800,
        32472888,
        71738176,
    ),
]


@pytest.mark.parametrize(("lora", "more", "weights", "steady", "peak"), MEASURED)
def test_plans_equal_real_steps(
    lora: dict[str, Any], more: dict[str, Any], weights: int, steady: int, peak: int
) -> None:
    sizes = {"per_device_train_batch_size": 2, "max_length": 128, "device": "cpu"}
    settings = {"r": 8, "target_modules": ["q_proj", "v_proj"], **lora}
    plan = estimate(parse_request({"model": LLAMA, "method": "lora", "lora": settings, **sizes, **more}))
    assert (plan.weights_bytes, plan.steady_bytes) == (weights, steady)
    assert plan.peak_bytes == pytest.approx(peak, abs=8)


def test_other_modules_are_refused() -> None:
    with pytest.raises(RequestError, match=r"lora.modules_to_save: 'norm' is neither"):
        trained({"modules_to_save": ["norm"]})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (["c_attn", "c_proj", "w1", "w2"], "all-linear"),
        (["w1", "w2", "w3"], ["gate_proj", "up_proj", "down_proj"]),
        (["q", "v", "o"], ["q_proj", "v_proj", "o_proj"]),
        (["q", "output_proj"], ["q_proj", "o_proj"]),
    ],
)
def test_other_libraries_names_mean_the_same_layers(theirs: list[str], ours: Any) -> None:
    assert trained({"target_modules": theirs}) == trained({"target_modules": ours})


def test_projections_of_a_fused_linear_adapt_that_linear() -> None:
    fused = trained({"target_modules": ["query_key_value"]}, NEOX)
    assert trained({"target_modules": ["q_proj", "v_proj"]}, NEOX) == fused


def test_a_named_stack_that_runs_peft_refuses_them_as_peft_does() -> None:
    with pytest.raises(RequestError, match="matches no linear layer"):
        trained({"target_modules": ["q_proj"]}, NEOX, stack="transformers")
    with pytest.raises(RequestError, match="matches no linear layer"):
        trained({"target_modules": ["no_such_module"]}, NEOX)
    assert trained({"target_modules": ["wte_proj", "q_proj"]}, LLAMA) == trained({"target_modules": ["q_proj"]})


def test_names_of_the_embedding_in_other_libraries() -> None:
    targets = {"target_modules": ["q_proj"]}
    saved = trained({**targets, "modules_to_save": ["wte"]})
    assert saved == trained({**targets, "modules_to_save": ["embed_tokens"]})
    with pytest.raises(RequestError, match="modules_to_save"):
        trained({**targets, "modules_to_save": ["wte"]}, stack="transformers")
