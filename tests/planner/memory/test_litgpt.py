"""LitGPT's own layers against sums done by hand from litgpt 0.4 model.py and lora.py."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.estimate import estimate
from planner.schema import parse_request

HIDDEN, WIDE, HEADS, VOCAB, RANK = 256, 704, 4, 512, 8
BATCH, LENGTH = 2, 640
TOKENS = BATCH * LENGTH
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
}
NEOX: dict[str, Any] = {
    "model_type": "gpt_neox",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_attention_heads": HEADS,
    "rotary_pct": 0.25,
    "use_parallel_residual": True,
    "vocab_size": VOCAB,
    "tie_word_embeddings": False,
}
FALCON: dict[str, Any] = {
    "model_type": "falcon",
    "hidden_size": HIDDEN,
    "num_attention_heads": HEADS,
    "multi_query": True,
    "parallel_attn": True,
    "new_decoder_architecture": False,
    "bias": False,
    "alibi": False,
    "vocab_size": VOCAB,
}
ADAPTERS = {"target_modules": ["q_proj", "v_proj"], "r": RANK, "lora_dropout": 0.05}


def plan(config: dict[str, Any], stack: str = "litgpt@0.4", method: str = "lora", layers: int = 3, **more: Any) -> Plan:
    sizes = {"per_device_train_batch_size": BATCH, "max_length": LENGTH, "lora": ADAPTERS, "optim": "sgd"}
    return estimate(
        parse_request(
            {"model": config | {"num_hidden_layers": layers}, "method": method, "stack": stack, **sizes, **more}
        )
    )


def live(found: Plan, phase: str = "backward_head") -> int:
    """Bytes of activations in a phase."""
    return next(moment for moment in found.timeline if moment.phase == phase).live_bytes["activations"]


def of_a_layer(config: dict[str, Any], stack: str = "litgpt@0.4", **more: Any) -> int:
    """What one more layer keeps, the first layer's own left out."""
    return live(plan(config, stack, layers=4, **more)) - live(plan(config, stack, **more))


def attention_of(value: int) -> int:
    """Dropped input and mask, after_A, index_copy's source and index; q, k, `value`, out, log-sum-exp."""
    adapters = (2 + 1) * HIDDEN + 2 * 2 * RANK + 2 * 2 * HIDDEN
    return TOKENS * (adapters + (2 + 2 + 2) * HIDDEN + value + 4 * HEADS) + 8 * 2 * HIDDEN


def test_a_llama_layer_keeps_float32_norms_the_whole_projection_and_what_was_padded() -> None:
    norms = 2 * (4 * HIDDEN + 4)  # x.float() and its reciprocal root
    gated = 3 * 2 * WIDE
    assert of_a_layer(LLAMA) == TOKENS * (norms + gated) + attention_of(2 * 3 * HIDDEN)


def test_a_parallel_layer_keeps_one_residual_for_both_norms() -> None:
    norms = 2 * HIDDEN + 2 * 2 * 4  # x once; mean and reciprocal deviation of each
    assert of_a_layer(NEOX) == TOKENS * (norms + 2 * WIDE) + attention_of(2 * 3 * HIDDEN)


def test_grouped_keys_are_spread_to_all_heads() -> None:
    grouped = LLAMA | {"num_key_value_heads": 2}
    narrower = TOKENS * 2 * HIDDEN // 2 + 8 * HIDDEN // 2  # v's part of the source and of its index
    norms, gated = 2 * (4 * HIDDEN + 4), 3 * 2 * WIDE
    assert of_a_layer(grouped) == TOKENS * (norms + gated) + attention_of(2 * HIDDEN) - narrower


def test_one_key_for_all_heads_met_no_fused_kernel_in_2023() -> None:
    """Per head, S x S weights in 16 bits for the kernel's log-sum-exp; of k one head for all, and no output."""
    head = HIDDEN // HEADS
    given = {"lora": ADAPTERS | {"target_modules": ["query_key_value"]}, "per_device_train_batch_size": 1}
    old, new = (of_a_layer(FALCON, stack, **given) for stack in ("litgpt@0.1", "litgpt@0.4"))
    weights = 2 * HEADS * LENGTH * LENGTH
    assert old - new == weights - LENGTH * (4 * HEADS + 2 * (HIDDEN - head) + 2 * HIDDEN)


def test_a_quantized_head_is_dequantized_by_way_of_float16() -> None:
    """At the head's backward: its float16 values and their bfloat16 copy; transformers keeps the head in 16 bits."""
    wide = LLAMA | {"vocab_size": 65536}
    given = {"gradient_checkpointing": True, "max_length": 16, "per_device_train_batch_size": 1}
    found = plan(wide, method="qlora", **given)
    head = 65536 * HIDDEN
    (at_head,) = (moment for moment in found.timeline if moment.phase == "backward_head")
    assert at_head.live_bytes["logits"] == pytest.approx(2 * 2 * head + (4 + 2) * 16 * 65536, rel=0.01)


def test_inputs_of_4_bit_products_outlive_their_step() -> None:
    """bitsandbytes 0.42's ctx.tensors, in a graph that the named logits hold while the next step runs forward."""
    held = {stack: plan(LLAMA, stack, "qlora") for stack in ("litgpt@0.4", "litgpt@0.1")}
    inputs = 4 * (3 * 2 * HIDDEN + 2 * WIDE)  # of attn, proj, fc_1 and fc_2, mlp.proj
    first = 2 * HIDDEN  # nothing before the first layer's adapters has a gradient
    forward = {stack: live(found, "forward") for stack, found in held.items()}
    one_layer = live(plan(LLAMA, "litgpt@0.4", "qlora", layers=4), "forward") - forward["litgpt@0.4"]
    kept = live(plan(LLAMA, "litgpt@0.1", "qlora", layers=4), "forward") - forward["litgpt@0.1"]
    assert one_layer - kept == TOKENS * inputs // 4
    assert forward["litgpt@0.4"] - forward["litgpt@0.1"] == TOKENS * (3 * inputs // 4 - first + 2 * HIDDEN)


def test_autocast_casts_a_frozen_head_for_every_chunk() -> None:
    """Each chunk of 128 tokens has a copy of the head in 16 bits that its backward keeps, besides its logits twice."""
    wide, given = LLAMA | {"vocab_size": 8192}, {"dtype": "float32", "mixed_precision": "bf16"}
    long, short = (
        next(m for m in plan(wide, max_length=n, **given).timeline if m.phase == "loss").live_bytes["logits"]
        for n in (640, 512)
    )
    assert long - short == 2 * 8192 * HIDDEN + (4 + 4) * BATCH * 128 * 8192


@pytest.mark.parametrize("family", ["gemma2", "mixtral"])
def test_other_families_keep_transformers_layers(family: str) -> None:
    config = LLAMA | {"model_type": family}
    given = {"lora": ADAPTERS | {"autocast_adapter_dtype": False}}
    own, theirs = (of_a_layer(config, stack, **given) for stack in ("litgpt@0.4", "transformers"))
    assert own == theirs
