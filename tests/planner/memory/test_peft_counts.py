"""Adapters and 4-bit weights against PEFT and transformers themselves, on the meta device: no weights, seconds."""

import re
import warnings
from collections import Counter
from functools import cache
from typing import Any

import pytest

from planner.architecture.read import read_architecture
from planner.catalog import list_models, load_config
from planner.catalog.rows.model import ModelRow
from planner.errors import PlannerError
from planner.memory.inventory import inventory, resolve_setup
from planner.methods.targets import named_linears, quantized_linears
from planner.schema import parse_request
from tests.planner.memory.strategies import Fields

pytestmark = pytest.mark.torch
torch = pytest.importorskip("torch", reason="needs torch (the extra `profiler`)")
peft = pytest.importorskip("peft", reason="needs peft (the extra `profiler`)")
transformers = pytest.importorskip("transformers", reason="needs transformers (the extra `profiler`)")

#: Types of the catalogue that these libraries do not build as language models.
REMOTE_CODE = {"internlm2", "kimi_k2"}
NO_LANGUAGE_MODEL = {"vit"}
#: PEFT 0.21 refuses out_proj in these, so all-linear too (tuners_utils.py _check_lora_target_modules_mamba).
NO_OUT_PROJ = {"mamba", "nemotron_h"}
#: PEFT 0.21 maps targets of these to the experts' parameters (planner/methods/experts.py).
FUSED_EXPERTS = {"mixtral", "qwen3_moe", "qwen3_next", "deepseek_v2", "deepseek_v3", "olmoe", "glm4_moe"}


def smallest_models() -> dict[str, ModelRow]:
    """The smallest model of every model_type of the catalogue."""
    found: dict[str, ModelRow] = {}
    for row in sorted(list_models(), key=lambda row: row.params):
        found.setdefault(row.model_type, row)
    return found


SMALLEST = smallest_models()
TYPES = sorted(SMALLEST.keys() - REMOTE_CODE - NO_LANGUAGE_MODEL)
Shapes = Counter[tuple[str, tuple[int, ...]]]


#: Their layers follow patterns that do not survive a cut.
WHOLE = {"gemma4", "gpt_neo", "mllama", "nemotron_h"}
DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers")
MAX_DEPTH = 8


@cache
def config_of(model_type: str) -> Fields:
    """The config of the smallest model, cut to a few layers: enough for every kind of them."""
    config = load_config(SMALLEST[model_type])
    if model_type in WHOLE:
        return config
    text = config.get("text_config")
    return {**shallow(config), **({"text_config": shallow(text)} if text else {})}


def shallow(config: Fields) -> Fields:
    depth = next((config[name] for name in DEPTHS if name in config), 0)
    cut = {name: min(config[name], MAX_DEPTH) for name in DEPTHS if name in config}
    lists = {k: v[:MAX_DEPTH] for k, v in config.items() if isinstance(v, list) and len(v) == depth}
    return {**config, **cut, **lists}


def build(config: Fields) -> Any:
    """transformers' model of a config, on the meta device."""
    from profiler.build import bare_model
    from profiler.configs import build_config

    return bare_model(build_config(parse_request({"model": config, "method": "full"})))


def adapted(model: Any, targets: str | list[str], rank: int = 16, **settings: Any) -> Any:
    """PEFT's get_peft_model, quietly."""
    task = "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    config = peft.LoraConfig(r=rank, target_modules=targets, task_type=task, **settings)
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        return peft.get_peft_model(model, config)


def shapes_by_peft(model: Any) -> Shapes:
    """(name without layer numbers, shape) of every trainable matrix; stacks of experts by their module's name."""
    found: Shapes = Counter()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            name = re.sub(r"\.(default|weight|base_layer)\b", "", name.removeprefix("base_model.model."))
            found[re.sub(r"\.\d+\.", ".*.", name), tuple(parameter.shape)] += 1
    return found


def shapes_by_planner(config: Fields, targets: str | list[str], rank: int = 16) -> Shapes:
    request = parse_request({"model": config, "method": "lora", "lora": {"r": rank, "target_modules": targets}})
    architecture = read_architecture(config)
    found: Shapes = Counter()
    for item in inventory(request, architecture, resolve_setup(request, architecture)):
        if item.trainable:
            name = re.sub(r"(experts\.(gate_up|down)_proj|gate\.weight)\.(?=lora)", _module_of_stack, item.name)
            found[re.sub(r"\.\d+\.", ".*.", name), item.shape] += item.count
    return found


def _module_of_stack(found: re.Match[str]) -> str:
    """ "experts.down_proj." -> "experts.", as the wrapped module is called."""
    return found.group(0).split(".")[0] + "."


def count(shapes: Shapes) -> int:
    return sum(times * torch.Size(shape).numel() for (_, shape), times in shapes.items())


def some_targets(config: Fields) -> list[str]:
    """Two endings of names of linears in layers: the last part of one, the last two parts of another."""
    if config["model_type"] == "gemma4":  # its vision tower wraps the linears that others are called like
        return ["linear", "per_layer_input_gate"]
    names = [name.partition(".*.")[2] for name, _ in named_linears(read_architecture(config))]
    inside = [name for name in names if name and not name.endswith(("out_proj", "gate_proj", "up_proj"))]
    first, second = inside[0], inside[len(inside) // 2]
    return [first.rpartition(".")[2], ".".join(second.split(".")[-2:])]


# -- LoRA ------------------------------------------------------------------------------------------------------------


def test_types_here_are_those_of_the_catalogue() -> None:
    assert SMALLEST.keys() >= REMOTE_CODE | NO_LANGUAGE_MODEL | NO_OUT_PROJ | FUSED_EXPERTS
    assert len(TYPES) + len(REMOTE_CODE | NO_LANGUAGE_MODEL) == len({row.model_type for row in list_models()})


def test_llama_3_2_1b_has_11_272_192() -> None:
    (row,) = [row for row in list_models() if row.id == "meta-llama/Llama-3.2-1B"]
    by_peft = shapes_by_peft(adapted(build(load_config(row)), "all-linear"))
    assert count(by_peft) == count(shapes_by_planner(load_config(row), "all-linear")) == 11_272_192


@pytest.mark.parametrize("model_type", sorted(set(TYPES) - NO_OUT_PROJ))
def test_all_linear_adapts_what_peft_adapts(model_type: str) -> None:
    config = config_of(model_type)
    assert shapes_by_planner(config, "all-linear") == shapes_by_peft(adapted(build(config), "all-linear"))


@pytest.mark.parametrize("model_type", TYPES)
def test_a_list_of_targets_adapts_what_peft_adapts(model_type: str) -> None:
    config = config_of(model_type)
    targets = some_targets(config)
    assert shapes_by_planner(config, targets, 4) == shapes_by_peft(adapted(build(config), targets, 4))


@pytest.mark.parametrize("model_type", sorted(NO_OUT_PROJ))
def test_both_refuse_out_proj_of_mamba_models(model_type: str) -> None:
    config = config_of(model_type)
    for targets in ("all-linear", ["out_proj"]):
        with pytest.raises(PlannerError, match="out_proj"):
            shapes_by_planner(config, targets)
        with pytest.raises(ValueError, match="out_proj"):
            adapted(build(config), targets)


MOE_TARGETS: dict[str, list[str | list[str]]] = {
    "mixtral": [["w1", "w2", "w3"], ["gate", "q_proj"], ["w2"], r".*\.(q_proj|w2)", r".*(gate|v_proj)"],
    "qwen3_moe": [["gate_proj", "up_proj"], ["gate"], ["down_proj", "k_proj"], r".*\.(gate|up|down)_proj"],
    "deepseek_v2": [["down_proj"], ["gate_proj", "up_proj", "o_proj"], r".*mlp.*_proj"],
    "qwen2_moe": [["gate_proj"], ["down_proj", "shared_expert_gate"]],
}


@pytest.mark.parametrize(("model_type", "targets"), [(m, t) for m, all_ in MOE_TARGETS.items() for t in all_])
def test_targets_that_meant_experts_adapt_their_stacks(model_type: str, targets: str | list[str]) -> None:
    config = config_of(model_type)
    assert shapes_by_planner(config, targets, 4) == shapes_by_peft(adapted(build(config), targets, 4))


@pytest.mark.parametrize("model_type", sorted(FUSED_EXPERTS))
def test_both_refuse_half_of_a_fused_pair(model_type: str) -> None:
    config = config_of(model_type)
    half = ["w1"] if model_type == "mixtral" else ["up_proj"]
    with pytest.raises(PlannerError, match="name both"):
        shapes_by_planner(config, half)
    with pytest.raises(ValueError, match="without also targeting"):
        adapted(build(config), half)


@pytest.mark.parametrize("model_type", sorted(FUSED_EXPERTS))
def test_both_refuse_a_dropout_on_experts(model_type: str) -> None:
    config = config_of(model_type)
    request = parse_request({"model": config, "method": "lora", "lora": {"lora_dropout": 0.1}})
    with pytest.raises(PlannerError, match="lora_dropout"):
        resolve_setup(request, read_architecture(config))
    with pytest.raises(ValueError, match="lora_dropout"):
        adapted(build(config), "all-linear", lora_dropout=0.1)


@pytest.mark.parametrize("pattern", [r".*\.(q|v)_proj", r"model\.layers\.\d+\.mlp\.[gu].*", "lm_head", "ALL-LINEAR"])
def test_a_regular_expression_adapts_what_peft_adapts(pattern: str) -> None:
    config = config_of("llama")
    assert shapes_by_planner(config, pattern) == shapes_by_peft(adapted(build(config), pattern))


@pytest.mark.parametrize(
    ("model_type", "targets"),
    [("llama", ["q_proj", "mlp"]), ("llama", r".*layers\.\d+\.mlp.*"), ("gemma4", ["q_proj"])],
)
def test_both_refuse_modules_that_are_no_linears(model_type: str, targets: str | list[str]) -> None:
    """Gemma 4's vision tower wraps its linears: a target of their wrapper's name is none."""
    config = config_of(model_type)
    with pytest.raises(PlannerError, match="no linear layer"):
        shapes_by_planner(config, targets)
    with pytest.raises(ValueError, match="not supported"):
        adapted(build(config), targets)


# -- 4-bit weights ---------------------------------------------------------------------------------------------------


def converted_by_transformers(model: Any) -> set[str]:
    """Names of the modules that load_in_4bit replaces, without layer numbers."""
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes (the extra `profiler`)")
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import HfQuantizer

    skip = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    replaced = replace_with_bnb_linear(model, skip, transformers.BitsAndBytesConfig(load_in_4bit=True))
    names = {name for name, module in replaced.named_modules() if type(module).__name__ == "Linear4bit"}
    return {re.sub(r"\.\d+\.", ".*.", name) for name in names}


@pytest.mark.parametrize("model_type", TYPES)
def test_4_bit_loading_converts_what_transformers_converts(model_type: str) -> None:
    config = config_of(model_type)
    by_planner = {re.sub(r"\.\d+\.", ".*.", name) for name in quantized_linears(read_architecture(config))}
    assert by_planner == converted_by_transformers(build(config))
