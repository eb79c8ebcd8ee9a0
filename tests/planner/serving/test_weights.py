"""Base and adapters against the real thing: bitsandbytes' layers, and the file that PEFT saves."""

import json
from pathlib import Path
from typing import Any

import pytest

from planner.errors import RequestError
from planner.serving.estimate import hold
from planner.serving.request import parse_serve_request
from planner.serving.weights import adapter_bytes, weights_bytes
from tests.planner.serving.test_cache import FAMILIES, TINY, real_model

ADAPTERS: dict[str, dict[str, Any]] = {
    "all linears": {"r": 8},
    "two of them": {"r": 4, "target_modules": ["q_proj", "v_proj"]},
    "with the head": {"r": 4, "modules_to_save": ["lm_head"]},
    "in 16 bits": {"r": 8, "autocast_adapter_dtype": False},
}


def _held(family: str, **fields: Any) -> Any:
    return hold(parse_serve_request({"model": TINY[FAMILIES[family]], **fields}))


def _saved_bytes(file: Path) -> int:
    """Tensor bytes of a safetensors file: what its header says, which is all of the file but the header."""
    raw = file.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    tensors = [value["data_offsets"] for name, value in header.items() if name != "__metadata__"]
    assert sum(end - start for start, end in tensors) == len(raw) - 8 - size
    return len(raw) - 8 - size


CASES = [("llama", name) for name in ADAPTERS]
CASES += [("gemma2", "two of them"), ("gemma2", "in 16 bits"), ("gpt_neox", "all linears")]


@pytest.mark.parametrize(("family", "settings"), CASES)
def test_an_adapter_is_as_large_as_its_file(family: str, settings: str, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="the file is PEFT's")
    from peft import LoraConfig, get_peft_model

    lora = dict(ADAPTERS[settings])
    config = LoraConfig(**{"target_modules": "all-linear", **{k: v for k, v in lora.items() if "autocast" not in k}})
    autocast = lora.get("autocast_adapter_dtype", True)
    model = get_peft_model(real_model(FAMILIES[family]), config, autocast_adapter_dtype=autocast)
    model.save_pretrained(tmp_path, save_embedding_layers=False)

    ((_, items),) = _held(family, adapters=[{"lora": lora}]).adapters
    assert adapter_bytes(items) == _saved_bytes(tmp_path / "adapter_model.safetensors")


@pytest.mark.parametrize("double", [True, False])
def test_a_4_bit_base_is_the_real_one(double: bool) -> None:
    pytest.importorskip("bitsandbytes", reason="the base is bitsandbytes'")
    from planner.schema import QuantizationSettings
    from profiler.build import loaded_tensors
    from profiler.quantize import quantize

    settings = QuantizationSettings(bnb_4bit_use_double_quant=double)
    model = real_model(FAMILIES["llama"])
    quantize(model, settings, "bfloat16", False)
    held = _held("llama", quantization=settings.model_dump(exclude_none=True, exclude={"load_in_8bit"}))

    assert weights_bytes(held.base, held.setup) == sum(tensor.nbytes for _, tensor in loaded_tensors(model))


def test_an_8_bit_base_keeps_a_byte_a_weight_and_a_float_a_row() -> None:
    torch = pytest.importorskip("torch", reason="the base is bitsandbytes'")
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="the base is bitsandbytes'")
    model = real_model(FAMILIES["llama"])
    expected = sum(p.nbytes for p in model.parameters()) + sum(b.nbytes for b in model.buffers())
    for name, module in model.named_modules():
        if type(module) is torch.nn.Linear and name != "lm_head":
            codes, scales, _ = bitsandbytes.functional.int8_vectorwise_quant(module.weight.data.half())
            expected += codes.nbytes + scales.nbytes - module.weight.nbytes
    held = _held("llama", quantization={"load_in_8bit": True, "load_in_4bit": False})

    assert weights_bytes(held.base, held.setup) == expected


def test_a_base_without_adapters_needs_no_targets() -> None:
    """PEFT adapts no "all-linear" of mamba; the base alone is served all the same."""
    assert _held("mamba", adapters=[]).adapters == ()
    with pytest.raises(RequestError, match="PEFT does not adapt"):
        _held("mamba")
