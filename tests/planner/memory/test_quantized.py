"""Quantized bases: what a tensor takes by method, worked by hand, and which parameters are upcast."""

from typing import Any

import pytest

from planner.errors import RequestError
from planner.estimate import estimate
from planner.memory.quantized import Storage, storage_of
from planner.schema import QuantizationSettings, parse_request

ROWS, COLUMNS = 4096, 11008
SHAPE, NUMEL = (ROWS, COLUMNS), ROWS * COLUMNS
TINY = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "vocab_size": 1024,
    "tie_word_embeddings": False,
}


def storage(**settings: Any) -> Storage:
    return storage_of(QuantizationSettings(**settings), "bfloat16")


def total(kept: Storage) -> int:
    return kept.codes_bytes(SHAPE, NUMEL) + kept.constants_bytes(SHAPE, NUMEL)


def test_llm_int8_is_a_byte_a_value_and_a_float_a_row() -> None:
    assert total(storage(load_in_8bit=True)) == NUMEL + 4 * ROWS


def test_gptq_tensors_as_auto_gptq_registers_them() -> None:
    """qweight [in / 8, out] int32, qzeros [in / g, out / 8] int32, scales [in / g, out] float16, g_idx [in] int32."""
    groups = COLUMNS // 128
    qweight, qzeros = 4 * (COLUMNS // 8) * ROWS, 4 * groups * (ROWS // 8)
    assert total(storage(quant_method="gptq")) == qweight + qzeros + 2 * groups * ROWS + 4 * COLUMNS


def test_gptq_in_eight_bits() -> None:
    eight = storage(quant_method="gptq", bits=8, group_size=32)
    groups = COLUMNS // 32
    assert total(eight) == NUMEL + groups * ROWS + 2 * groups * ROWS + 4 * COLUMNS


def test_awq_has_no_group_index() -> None:
    gptq, awq = (storage(quant_method=m) for m in ("gptq", "awq"))
    assert total(gptq) - total(awq) == 4 * COLUMNS


def test_hqq_keeps_a_scale_and_a_zero_a_group() -> None:
    assert total(storage(quant_method="hqq")) == NUMEL // 2 + 2 * 2 * (NUMEL // 64)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"load_in_4bit": True, "load_in_8bit": True}, "load_in_4bit and load_in_8bit"),
        ({"load_in_4bit": False}, "load_in_8bit"),
        ({"quant_method": "gptq", "load_in_8bit": True}, "bits: 8"),
        ({"bits": 4}, "bits and group_size"),
        ({"quant_method": "awq", "bits": 8}, "AWQ"),
        ({"quant_method": "gptq", "bits": 5}, "2, 3, 4 or 8"),
    ],
)
def test_settings_that_do_not_exist_are_refused(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        parse_request({"model": TINY, "method": "qlora", "quantization": settings})


def weights(quantization: dict[str, Any], **more: Any) -> int:
    return estimate(
        parse_request({"model": TINY, "method": "qlora", "quantization": quantization, **more})
    ).weights_bytes


UNQUANTIZED = 2 * 1024 * 256 + 5 * 256  # embeddings and head, norms


def test_upcast_follows_prepare_model_for_kbit_training() -> None:
    assert weights({}) - weights({"upcast_unquantized": False}) == 2 * UNQUANTIZED
    gptq = {"quant_method": "gptq"}
    assert weights({**gptq, "upcast_unquantized": True}) - weights(gptq) == 2 * UNQUANTIZED


def test_trainers_that_shard_do_not_upcast() -> None:
    sharded = {"num_gpus": 2, "parallelism": {"strategy": "fsdp"}}
    assert weights({}, **sharded) == weights({"upcast_unquantized": False}, **sharded)


def test_under_autocast_only_a_named_stack_upcasts() -> None:
    kept = weights({"upcast_unquantized": False}, mixed_precision="bf16")
    assert weights({}, mixed_precision="bf16") == kept
    assert weights({}, mixed_precision="bf16", stack="transformers") - kept == 2 * UNQUANTIZED


MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}


def test_experts_are_quantized_where_they_were_modules() -> None:
    request = {"model": MIXTRAL, "method": "qlora", "lora": {"target_modules": ["q_proj"]}}
    request["quantization"] = {"upcast_unquantized": False}
    new, old = (
        estimate(parse_request({**request, "stack": f"transformers@{version}"})).weights_bytes
        for version in ("5.23", "4.45")
    )
    experts, routers = 2 * 4 * 3, 2
    assert new - old == experts * _saved_in_4_bits(256 * 512) + routers * _saved_in_4_bits(4 * 256)


def _saved_in_4_bits(numel: int) -> int:
    """Of a linear in 16 bits: half a byte a weight stays, a byte a block of 64, 4 a block of 256 of these, a table."""
    blocks = numel // 64
    return 2 * numel - numel // 2 - blocks - 4 * -(-blocks // 256) - 1092


@pytest.mark.parametrize("method", ["load_in_8bit", "gptq", "awq", "hqq"])
def test_every_quantization_is_answered(method: str) -> None:
    quantization = {method: True} if method == "load_in_8bit" else {"quant_method": method}
    plan = estimate(parse_request({"model": TINY, "method": "qlora", "quantization": quantization}))
    assert sum(t.bytes for t in plan.terms if t.category == "weights") == plan.weights_bytes
    assert plan.peak_bytes > plan.weights_bytes


def test_what_was_set_tells_requests_of_equal_values_apart() -> None:
    """Requests of a catalogue model are prepared once a kind: an open field is not one set to its default."""
    asked = {"model": "Qwen/Qwen2.5-0.5B", "method": "qlora", "mixed_precision": "bf16"}
    open_fields = estimate(parse_request(asked)).weights_bytes
    named = estimate(parse_request({**asked, "stack": "transformers"})).weights_bytes
    explicit = estimate(parse_request({**asked, "quantization": {"upcast_unquantized": True}})).weights_bytes
    assert open_fields < named == explicit
