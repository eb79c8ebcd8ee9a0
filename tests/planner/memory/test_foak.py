"""Layers with fms-acceleration's kernels against sums done by hand from fms-acceleration-foak 0.4."""

from typing import Any

import pytest

from benchmarks.allocator import replay_request
from planner.answer import Plan
from planner.estimate import estimate
from planner.schema import parse_request
from planner.units import MIB

HIDDEN, WIDE, HEADS, KEYS, RANK = 256, 704, 4, 128, 8
TOKENS = 2 * 640
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEYS * HEADS // HIDDEN,
    "vocab_size": 512,
    "tie_word_embeddings": False,
}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
#: What the allocator rounds large segments to.
PAGE = 2 * MIB
FOAK, PLAIN = "fms-acceleration@0.4", "transformers@4.45"
#: 16 bits each: queries, keys, values and the output; a float32 log-sum-exp a head.
CORE = 2 * (2 * HIDDEN + 2 * KEYS) + 4 * HEADS
#: The input of both, and one float32 a row.
NORMS = 2 * (2 * HIDDEN + 4)
#: Gate, its activation, up.
PLAIN_MLP = 3 * 2 * WIDE


def plan(model: dict[str, Any], stack: str, layers: int, method: str = "lora", **more: Any) -> Plan:
    lora = {"r": RANK, "target_modules": ATTENTION} | more.pop("lora", {})
    adapters = {} if method == "full" else {"lora": lora}
    sizes = {"per_device_train_batch_size": 2, "max_length": 640, "optim": "sgd", "mixed_precision": "bf16"}
    asked = {"model": model | {"num_hidden_layers": layers}, "method": method, "stack": stack, **adapters}
    return estimate(parse_request({**asked, **sizes, "attn_implementation": "flash_attention_2", **more}))


def of_a_layer(model: dict[str, Any] = LLAMA, stack: str = FOAK, method: str = "qlora", **more: Any) -> int:
    """Bytes that one more layer keeps for backward, a token; weights of adapters cast by autocast left out."""

    def live(layers: int) -> int:
        found = plan(model, stack, layers, method, **more)
        return next(moment for moment in found.timeline if moment.phase == "backward_head").live_bytes["activations"]

    return round((live(4) - live(3)) / TOKENS)


def test_fused_norms_keep_their_input_in_16_bits() -> None:
    full = {"method": "full", "dtype": "bfloat16"}
    kept = of_a_layer(**full)
    normalized, products = 2 * 2 * HIDDEN, 2 * WIDE  # inputs of the linears
    assert kept == NORMS + normalized + CORE + PLAIN_MLP + products
    float32_copies = 2 * (4 * HIDDEN + 4) + 2 * 2 * HIDDEN  # x.float(), and what the weight multiplies
    assert of_a_layer(stack=PLAIN, **full) == kept - NORMS + float32_copies


@pytest.mark.parametrize("quantization", [{"load_in_4bit": True}, {"quant_method": "gptq", "bits": 4}])
def test_fused_adapters_keep_their_input_and_what_dropout_made_of_it(quantization: dict[str, Any]) -> None:
    for dropout, copies in ((0.1, 3 + 1), (0.0, 0)):  # of q, k and v, and of o
        kept = of_a_layer(quantization=quantization, lora={"lora_dropout": dropout})
        assert kept == NORMS + 2 * HIDDEN + copies * 2 * HIDDEN + CORE + PLAIN_MLP


def test_a_fused_mlp_keeps_no_activation() -> None:
    kept = of_a_layer(lora={"target_modules": ATTENTION + MLP, "lora_dropout": 0.1})
    mlp = 2 * HIDDEN + 2 * 2 * WIDE + 2 * 2 * HIDDEN + 2 * WIDE  # input, gate, up; dropped twice; act*up dropped
    assert kept == NORMS + (1 + 3 + 1) * 2 * HIDDEN + CORE + mlp


@pytest.mark.parametrize(
    "more",
    [
        {"lora": {"target_modules": ["q_proj", "v_proj"]}},
        {"quantization": {"load_in_4bit": True, "bnb_4bit_use_double_quant": False}},
        {"quantization": {"load_in_8bit": True}},
    ],
)
def test_other_adapters_are_pefts(more: dict[str, Any]) -> None:
    """Not all of q, k and v, or a base that the functions cannot dequantize: only norms and rotation differ."""
    more = {"lora": {}, **more}
    more["lora"] = more["lora"] | {"lora_dropout": 0.1}
    plain = of_a_layer(stack=PLAIN, **(more | _as_prepared(more)))
    assert of_a_layer(**more) == plain - 2 * (4 * HIDDEN + 4) + NORMS


def _as_prepared(more: dict[str, Any]) -> dict[str, Any]:
    return {"quantization": more.get("quantization", {"load_in_4bit": True}) | {"upcast_unquantized": False}}


def test_models_without_rules_run_as_they_are() -> None:
    full = {"method": "full", "dtype": "bfloat16"}
    for other in ({"model_type": "qwen2"}, {"model_type": "phi3"}):
        assert of_a_layer(LLAMA | other, **full) == of_a_layer(LLAMA | other, stack=PLAIN, **full)


def test_operations_are_those_of_plain_torch() -> None:
    assert plan(LLAMA, FOAK, 2).flops_per_step == plan(LLAMA, PLAIN, 2).flops_per_step


def test_mistrals_flash_attention_repeated_keys_until_4_48() -> None:
    mistral = LLAMA | {"model_type": "mistral", "sliding_window": 64}
    full = {"method": "full", "dtype": "bfloat16"}
    now = of_a_layer(mistral, stack="transformers@4.48", **full)
    assert of_a_layer(mistral, stack=PLAIN, **full) == now + 2 * 2 * (HIDDEN - KEYS)


def test_flash_attention_is_given_no_mask_of_a_window() -> None:
    full = {"method": "full", "dtype": "bfloat16"}
    windowed, whole = (LLAMA | {"model_type": "mistral", "sliding_window": window} for window in (64, None))
    assert of_a_layer(windowed, stack="transformers", **full) == of_a_layer(whole, stack="transformers", **full)


@pytest.mark.parametrize(("vocab", "segments"), [(32768, 2), (32769, 3)])
def test_gradients_of_all_logits_need_a_segment_of_their_own_where_the_shifted_ones_is_smaller(
    vocab: int, segments: int
) -> None:
    """Backward makes zeros of the shifted logits, then of all: the first take the place that the second need."""
    found = replay_request(
        {
            "model": LLAMA | {"num_hidden_layers": 1, "vocab_size": vocab},
            "method": "lora",
            "stack": FOAK,
            "lora": {"r": RANK, "target_modules": ATTENTION},
            "per_device_train_batch_size": 4,
            "max_length": 1024,
        }
    )
    assert found is not None
    logits, shifted = 4 * 1024 * vocab * 4, 4 * 1023 * vocab * 4
    assert (-(-shifted // PAGE) * PAGE < logits) == (segments == 3)
    assert round((found.fixed - 2 * HIDDEN * 2 * vocab) / logits - 0.5) == segments  # tables, logits in 16 bits
    assert found.peak < 2.6 * logits
