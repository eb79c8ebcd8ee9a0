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
from planner.architecture.releases import as_of
from planner.catalog import list_models, load_config
from tests.installed import installed_modeling

torch = pytest.importorskip("torch", reason="the oracle builds models with torch")
transformers = pytest.importorskip("transformers", reason="the oracle is transformers")

Config = dict[str, Any]

#: Families that transformers knows by another name, or by remote code of equal shape.
STAND_INS = {"kimi_k2": "deepseek_v3", "internlm2": "llama"}

#: Small values of the fields that set sizes; heads, experts and patches divide what they must.
SMALL: Config = {
    **{"vocab_size": 96, "vocab_size_per_layer_input": 96, "max_position_embeddings": 64, "n_positions": 64},
    **{"max_seq_len": 64, "hidden_size": 64, "n_embd": 64, "d_model": 64, "embed_dim": 64, "intermediate_size": 48},
    **{"num_hidden_layers": 6, "n_layer": 3, "n_layers": 3, "num_layers": 4, "num_decoder_layers": 3, "depth": 2},
    **{"num_global_layers": 2, "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4},
    **{"attention_heads": 4, "num_key_value_heads": 2, "num_kv_heads": 2, "kv_n_heads": 2},
    **{"num_global_key_value_heads": 1, "head_dim": 24, "global_head_dim": 40, "d_kv": 12, "d_ff": 48},
    **{"n_inner": 80, "ffn_dim": 48, "ffn_hidden_size": 48, "moe_intermediate_size": 24, "rotary_dim": 8},
    **{"intermediate_size_mlp": 80, "shared_expert_intermediate_size": 40, "word_embed_proj_dim": 32},
    **{"moe_shared_expert_intermediate_size": 40, "num_local_experts": 8, "num_experts": 8, "n_routed_experts": 8},
    **{"moe_num_experts": 8, "num_experts_per_tok": 2, "moe_top_k": 2, "top_k_experts": 2, "n_group": 1},
    **{"topk_group": 1, "kv_lora_rank": 16, "qk_nope_head_dim": 12, "qk_rope_head_dim": 8, "v_head_dim": 20},
    **{"sliding_window": 16, "attention_chunk_size": 16, "window_size": 16, "image_size": 28, "patch_size": 7},
    **{"out_hidden_size": 64, "num_position_embeddings": 16, "position_embedding_size": 16, "mamba_num_heads": 4},
    **{"mamba_head_dim": 8, "n_groups": 2, "ssm_state_size": 8, "mamba_d_state": 8, "state_size": 8},
    **{"time_step_rank": 5, "mamba_dt_rank": 5, "linear_num_key_heads": 2, "linear_num_value_heads": 4},
    **{"linear_key_head_dim": 8, "linear_value_head_dim": 12, "hidden_size_per_layer_input": 8},
    **{"num_kv_shared_layers": 2, "vision_output_dim": 56, "projector_input_dim": 40, "projector_output_dim": 32},
    **{"output_proj_dims": 48, "relative_attention_num_buckets": 8, "num_labels": 5, "q_lora_rank": 16},
    **{"sliding_window_pattern": 3, "hybrid_override_pattern": "ME*E-M", "no_rope_layer_interval": 2},
    **{"attn_layer_period": 3, "attn_layer_offset": 1, "full_attention_interval": 3, "pad_token_id": 0},
    **{"deepstack_visual_indexes": [0, 1], "fullatt_block_indexes": [0], "intermediate_layers_indices": [0, 1]},
    **{"cross_attention_layers": [1, 4], "attention_types": [[["global", "local"], 2]]},
}
ALWAYS = ("pad_token_id",)
#: Read as they are where the catalogue says 0 or nothing: these switch a part of the model off.
SWITCHES = ("num_kv_shared_layers", "hidden_size_per_layer_input", "q_lora_rank", "sliding_window", "num_experts")


def shrink(config: Config) -> Config:
    """The config with small sizes, nested configs included; what it lacks stays absent."""
    small: Config = {name: SMALL[name] for name in ALWAYS if "vocab_size" in config}
    for name, value in config.items():
        if isinstance(value, dict) and name in ("text_config", "vision_config", "audio_config"):
            small[name] = shrink(value)
        elif isinstance(value, dict):
            small[name] = {**value, **{inner: SMALL[inner] for inner in value if inner in SMALL}}
        elif name in SMALL and not (name in SWITCHES and not value) and value is not None:
            small[name] = SMALL[name]
        elif name == "layer_types":
            small[name] = [value[0], value[-1]] * (SMALL["num_hidden_layers"] // 2)
        else:
            small[name] = value
    return small


def tiny_configs() -> dict[str, Config]:
    """Two configs of each model_type, its first and its last in the catalogue, as "model_type: id"."""
    found: dict[str, list[tuple[str, Config]]] = {}
    for row in list_models():
        config = load_config(row)
        if config.get("no_bias", True):
            found.setdefault(row.model_type, []).append((row.id, config))
    named = (
        (kind, *pair) for kind, pairs in found.items() for pair in {id(p): p for p in (pairs[0], pairs[-1])}.values()
    )
    return {f"{kind}: {name}": shrink(config) for kind, name, config in named}


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
    newest = read_architecture(_as_built(TINY.get(name, {"model_type": name})))
    return as_of(newest, installed_modeling())


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
def test_parameters_that_are_float32_whatever_is_asked_for(name: str) -> None:
    model, architecture = _built(name, "bfloat16"), _read(name)
    real = {n for n, p in model.named_parameters() if p.dtype == torch.float32}

    assert {t.name for t in _tensors(architecture) if t.dtype == "float32"} == real


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
