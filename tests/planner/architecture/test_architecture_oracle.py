"""The readers against transformers itself: models built on the meta device, parameter by parameter.

Names, shapes, classes and biases of linears; parameters; buffers with their dtypes for models in bfloat16 and in
float32; which linears transformers keeps out of quantization.
"""

from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any

import pytest

from planner.architecture.blocks import Architecture, Linear, Tensor
from planner.architecture.read import FAMILIES, read_architecture
from tests.planner.architecture.architecture_tiny import STAND_INS, Config, tiny_configs

torch = pytest.importorskip("torch", reason="the oracle builds models with torch")
transformers = pytest.importorskip("transformers", reason="the oracle is transformers")

TINY = tiny_configs()
#: transformers cannot build these from defaults alone: dbrx wants attn_config.rope_theta; deepseek_v2 has no
#: num_experts_per_tok and glm4_moe heads that do not divide hidden_size, so that both are refused here.
NO_DEFAULTS = {"dbrx", "deepseek_v2", "glm4_moe", *STAND_INS}
DEFAULTS = sorted(set(FAMILIES) - NO_DEFAULTS)
SEEN = {"gemma3", "gemma4", "llama4", "llava", "mistral3", "mllama", "qwen2_5_vl", "qwen2_vl", "qwen3_5"}
SEEN |= {"qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe"}
CLASSES = {
    **dict.fromkeys(("t5", "mt5"), "AutoModelForSeq2SeqLM"),
    **dict.fromkeys(("bert", "roberta"), "AutoModelForMaskedLM"),
    **dict.fromkeys(SEEN, "AutoModelForImageTextToText"),
    "vit": "AutoModelForImageClassification",
}


@cache
def _built(name: str, dtype: str) -> Any:
    """The real model of a tiny config, or of a model_type's defaults."""
    fields = deepcopy(TINY.get(name, {"model_type": name}))
    model_type = fields.pop("model_type")
    config = transformers.AutoConfig.for_model(STAND_INS.get(model_type, model_type), **fields)
    auto = getattr(transformers, CLASSES.get(model_type, "AutoModelForCausalLM"))
    with torch.device("meta"):
        return auto.from_config(config, dtype=getattr(torch, dtype))


def _as_built(config: Config) -> Config:
    """T5 as transformers builds it: tied, whatever the config of the checkpoint says."""
    return {**config, "tie_word_embeddings": True} if config["model_type"] in ("t5", "mt5") else config


def _read(name: str) -> Architecture:
    return read_architecture(_as_built(TINY.get(name, {"model_type": name})))


def _linears(architecture: Architecture) -> Iterator[Linear]:
    """Every linear under its full name."""
    for block in architecture.blocks:
        for index in block.indices:
            yield from (x._replace(name=f"{block.prefix}.{index}.{x.name}") for x in block.linears)
    yield from architecture.linears
    if architecture.head is not None:
        yield architecture.head


def _tensors(architecture: Architecture) -> Iterator[Tensor]:
    for block in architecture.blocks:
        for index in block.indices:
            yield from (t._replace(name=f"{block.prefix}.{index}.{t.name}") for t in block.tensors)
    yield from architecture.tensors


def _parameters(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """name -> shape as stored; the head's weight too where it is tied."""
    found = {t.name: t.shape for t in _tensors(architecture)}
    for x in _linears(architecture):
        shape = (x.out_features, x.in_features)
        found[f"{x.name}.weight"] = shape[::-1] if x.cls == "Conv1D" else shape
        if x.bias:
            found[f"{x.name}.bias"] = (x.out_features,)
    return found


def _real_parameters(model: Any, known: set[str]) -> dict[str, tuple[int, ...]]:
    """name -> shape, without further names of a tied parameter that the reader has under another name."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    aliases = {n for group in names.values() if known & set(group) for n in group if n not in known}
    pairs = model.named_parameters(remove_duplicate=False)
    return {name: tuple(parameter.shape) for name, parameter in pairs if name not in aliases}


def _kind(module: Any) -> str:
    if isinstance(module, transformers.pytorch_utils.Conv1D):
        return "Conv1D"
    return "Linear" if type(module) is torch.nn.Linear else "subclass"


def _real_linears(model: Any) -> dict[str, tuple[tuple[int, ...], bool, str]]:
    classes = (torch.nn.Linear, transformers.pytorch_utils.Conv1D)
    found = {}
    for name, module in model.named_modules():
        if isinstance(module, classes):
            kind, shape = _kind(module), tuple(module.weight.shape)
            found[name] = (shape[::-1] if kind == "Conv1D" else shape, module.bias is not None, kind)
    return found


def _dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


CASES = [*TINY, *DEFAULTS]


@pytest.mark.parametrize("name", CASES)
def test_parameters_are_those_of_the_real_model(name: str) -> None:
    model, architecture = _built(name, "bfloat16"), _read(name)
    expected = _parameters(architecture)

    assert expected == _real_parameters(model, set(expected))
    assert architecture.num_params == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("name", CASES)
def test_linears_are_those_of_the_real_model(name: str) -> None:
    linears = {x.name: ((x.out_features, x.in_features), x.bias, x.cls) for x in _linears(_read(name))}

    assert linears == _real_linears(_built(name, "bfloat16"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_buffers_are_those_of_the_real_model(name: str, dtype: str) -> None:
    real = {n: (tuple(b.shape), _dtype_name(b.dtype)) for n, b in _built(name, dtype).named_buffers()}

    assert {t.name: (t.shape, t.dtype or dtype) for t in _read(name).buffers} == real


@pytest.mark.parametrize("name", CASES)
def test_quantizable_is_what_transformers_converts(name: str) -> None:
    from transformers.quantizers.base import get_keys_to_not_convert
    from transformers.quantizers.quantizers_utils import should_convert_module

    model = _built(name, "bfloat16")
    kept = [*get_keys_to_not_convert(model), *(model._keep_in_fp32_modules or ())]
    for x in _linears(_read(name)):
        assert x.quantizable == should_convert_module(x.name, kept), x.name


@pytest.mark.parametrize("name", CASES)
def test_head_is_tied_where_the_real_one_is(name: str) -> None:
    architecture = _read(name)
    assert architecture.head is not None
    model = _built(name, "bfloat16")
    weight = model.get_parameter(f"{architecture.head.name}.weight")
    names = [n for n, p in model.named_parameters(remove_duplicate=False) if p is weight]

    assert architecture.tied == (len(names) > 1)


def test_there_is_a_tiny_config_of_every_family() -> None:
    assert {name.partition(":")[0] for name in TINY} >= set(FAMILIES) - {"granite", *_text_parts()}


def _text_parts() -> set[str]:
    return {"gemma4_text", "qwen3_5_text", "qwen3_5_moe_text"}
