"""From a published run to its request: what the columns mean."""

from typing import Any

import pytest

from planner.catalog.measurements import list_runs
from planner.catalog.rows.measurement import MeasurementRow
from planner.errors import RequestError, UnknownModelError
from planner.evidence.request import request_fields_of, request_of, target_modules

ROW: dict[str, Any] = {
    "id": "made-up",
    "source_url": "https://github.com/org/name/blob/main/README.md",
    "source_title": "README",
    "quote": "took 10.5 GB",
    "framework": "litgpt",
    "model": "meta-llama/Llama-2-7b-hf",
    "method": "lora",
    "dtype": "bfloat16",
    "lora_r": 8,
    "lora_targets": "attn-qv",
    "lora_dtype": "bfloat16",
    "optimizer": "adamw_bf16",
    "mixed_precision": "pure_bf16",
    "per_device_train_batch_size": 4,
    "max_length": 512,
    "num_gpus": 1,
    "gpu": "A100-SXM4-40GB",
    "sharding": "none",
    "offload": "none",
    "value": 10.5,
    "unit": "GB",
    "metric": "max_allocated",
    "scope": "per_gpu",
    "completeness": "full",
}


def fields(**changes: Any) -> dict[str, Any]:
    return request_fields_of(MeasurementRow.model_validate(ROW | changes), name_stack=False)


def test_a_run_as_a_request() -> None:
    assert fields() == {
        "id": "made-up",
        "model": "meta-llama/Llama-2-7b-hf",
        "method": "lora",
        "dtype": "bfloat16",
        "mixed_precision": "no",
        "per_device_train_batch_size": 4,
        "max_length": 512,
        "gradient_accumulation_steps": 1,
        "gradient_checkpointing": False,
        "attn_implementation": "sdpa",
        "optim": "adamw_torch",
        "loss": "full",
        "device": "cuda",
        "num_gpus": 1,
        "num_nodes": 1,
        "parallelism": {"strategy": "none"},
        "gpu": "a100-40gb-sxm",
        "lora": {"r": 8, "target_modules": ["q_proj", "v_proj"], "autocast_adapter_dtype": False},
    }


def test_measured_bytes_follow_the_unit() -> None:
    assert MeasurementRow.model_validate(ROW).measured_bytes == 10_500_000_000
    assert MeasurementRow.model_validate(ROW | {"value": 10, "unit": "MiB"}).measured_bytes == 10 * 1024**2


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"mixed_precision": "amp_fp16"}, "mixed_precision", "fp16"),
        ({"attention": "flash"}, "attn_implementation", "flash_attention_2"),
        ({"loss": "chunked"}, "loss", "chunked"),
        ({"optimizer": "paged_adamw32bit"}, "optim", "paged_adamw_32bit"),
        ({"gradient_checkpointing": True}, "gradient_checkpointing", True),
        ({"sharding": "fsdp_full", "num_gpus": 2}, "parallelism", {"strategy": "fsdp"}),
        ({"sharding": "zero3?"}, "parallelism", {"strategy": "zero3"}),
        (
            {"offload": "cpu_params"},
            "parallelism",
            {"strategy": "none", "offload_params": True, "offload_optimizer": True},
        ),
        ({"offload": "activations"}, "parallelism", {"strategy": "none", "activation_offloading": True}),
        (
            {"quant": "nf4", "double_quant": False},
            "quantization",
            {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": False},
        ),
        ({"quant": "gptq4"}, "quantization", {"quant_method": "gptq", "bits": 4, "group_size": 128}),
        ({"quant": "int8"}, "quantization", {"load_in_8bit": True}),
    ],
)
def test_what_a_column_says(changes: dict[str, Any], field: str, value: object) -> None:
    assert fields(**changes)[field] == value


def test_modules_trained_in_full_stand_after_the_targets() -> None:
    lora = fields(lora_targets="c_attn,c_proj (=all linear) + modules_to_save wte,lm_head", lora_dtype=None)["lora"]
    assert lora["target_modules"] == ["c_attn", "c_proj"]
    assert lora["modules_to_save"] == ["wte", "lm_head"]
    assert lora["autocast_adapter_dtype"] is True


def test_a_card_that_the_source_leaves_open_is_left_open() -> None:
    assert "gpu" not in fields(gpu="RTX 3090/4090")
    assert "gpu" not in fields(gpu="")


@pytest.mark.parametrize(
    ("text", "modules"),
    [
        ("all-linear (q,k,v,o,mlp)", "all-linear"),
        ("attn (q,k,v,o)", ["q_proj", "k_proj", "v_proj", "o_proj"]),
        ("attn (query_key_value, dense)", ["query_key_value", "dense"]),
        ("attn-qkv", ["q_proj", "k_proj", "v_proj"]),
        ("attn-qv (PEFT default)", ["q_proj", "v_proj"]),
        ("w1,w2", ["w1", "w2"]),
        (r"model.layers.[\d]+.(mlp).(up|down)_proj", None),
        ("", None),
    ],
)
def test_target_modules_in_a_sources_words(text: str, modules: object) -> None:
    assert target_modules(text) == modules


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"max_length": None}, "states no model, batch size or length"),
        ({"max_length": 0}, "states no model, batch size or length"),
        ({"lora_r": None}, "states no rank"),
        ({"optimizer": "galore"}, "no optimizer 'galore'"),
        ({"sharding": "gemini (zero3)"}, "no sharding"),
        ({"lora_targets": "all-linear+lm_head"}, "all linear layers and the head"),
    ],
)
def test_what_a_request_cannot_say_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        fields(**changes)


def test_a_published_run_is_asked_in_full() -> None:
    """One row of the table by hand: LitGPT's own table, Llama-3.1-8B with LoRA on one A10G."""
    row = next(row for row in list_runs() if row.id == "litgpt-m060")
    request = request_of(row, name_stack=False).model_copy(update={"lora": None})
    assert (request.model, request.method, request.gpu) == ("meta-llama/Llama-3.1-8B", "lora", "a10g")
    assert (request.per_device_train_batch_size, request.max_length) == (1, 512)
    assert (request.loss, request.gradient_accumulation_steps) == ("chunked", 8)


def test_a_framework_brings_its_stack_and_its_own_settings() -> None:
    """fms-acceleration's plugin prepares a 4-bit model without PEFT's upcast; the baseline leaves it to TRL."""
    quantized = {row.framework.rpartition("+ ")[2]: row for row in list_runs() if row.quant == "nf4" and row.max_length}
    asked = {name: request_fields_of(quantized[name]) for name in ("accelerated-peft-bnb", "baseline-peft-bnb")}
    assert asked["accelerated-peft-bnb"]["quantization"]["upcast_unquantized"] is False
    assert "upcast_unquantized" not in asked["baseline-peft-bnb"]["quantization"]
    assert asked["baseline-peft-bnb"]["stack"].startswith("trl@0.1")
    assert "stack" not in request_fields_of(quantized["accelerated-peft-bnb"], name_stack=False)


def test_only_the_catalogue_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("planner.hub.find_on_hub", lambda name: pytest.fail(f"the Hub was asked for {name}"))
    with pytest.raises(UnknownModelError, match="Qwen-VL"):
        request_of(MeasurementRow(**(ROW | {"model": "Qwen/Qwen-VL"})), name_stack=False)
