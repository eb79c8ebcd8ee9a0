"""LoRA on experts that are parameters: PEFT 0.21 maps the names that the linears of old had to the stacks of now.

Source: peft 0.21 utils/transformers_weight_conversion.py (_convert_peft_config_moe, _MOE_TARGET_MODULE_MAPPING),
transformers 5.23 conversion_mapping.py (_MODEL_TO_CONVERSION_PATTERN), peft tuners/lora/layer.py ParamWrapper.
"""

from collections.abc import Iterable
from typing import NamedTuple

from planner.architecture.blocks import Architecture, Block
from planner.errors import RequestError
from planner.method_settings import AdapterKind
from planner.schema import LoraSettings

_GATE_UP = "gate_up_proj"
_MIXTRAL = {"gate": "gate.weight", "w1": _GATE_UP, "w3": _GATE_UP, "w2": "down_proj"}
_QWEN2_MOE = {"gate": "gate.weight", "gate_proj": _GATE_UP, "up_proj": _GATE_UP, "down_proj": "down_proj"}
#: model_type -> name of a linear of old -> ending of the parameter it is part of now. qwen2_moe itself, gpt_oss,
#: llama4, phimoe, dbrx and others are not among them: there experts stay as they are.
_NAMES: dict[str, dict[str, str]] = {
    "mixtral": _MIXTRAL,
    "qwen3_moe": _QWEN2_MOE,
    "qwen3_next": _QWEN2_MOE,
    "deepseek_v2": _QWEN2_MOE,
    "deepseek_v3": _QWEN2_MOE,
    "olmoe": _QWEN2_MOE,
    "glm4_moe": _QWEN2_MOE,
}


#: Families whose routers and experts were linears in transformers 4 (4.57 models/*/modeling_*.py, a ModuleList), and
#: those of which the experts alone were; those of dbrx, gpt_oss, llama4 and qwen3_vl_moe were parameters all along.
_WERE_LINEARS = frozenset({"mixtral", "qwen2_moe", "qwen3_moe", "qwen3_next", "olmoe"})
_EXPERTS_WERE_LINEARS = frozenset({"deepseek_v2", "deepseek_v3", "kimi_k2", "glm4_moe", "phimoe", "jamba"})


class Converted(NamedTuple):
    """target_modules after the mapping: names of linears that remain, and full names of adapted parameters."""

    modules: tuple[str, ...]
    parameters: frozenset[str]


def maps_experts(architecture: Architecture) -> bool:
    """Whether PEFT maps targets of this family to parameters."""
    return architecture.model_type in _NAMES


def linears_of_old(architecture: Architecture) -> frozenset[str]:
    """Roles of the tensors that were linears in transformers 4: of routers, of experts, or none."""
    if architecture.model_type in _WERE_LINEARS:
        return frozenset({"router", "experts"})
    return frozenset({"experts"}) if architecture.model_type in _EXPERTS_WERE_LINEARS else frozenset()


def old_names(architecture: Architecture) -> tuple[str, ...]:
    """Names of linears that the family had when experts were modules, and that "all-linear" still means."""
    return tuple(_NAMES[architecture.model_type])


def names_of_old(architecture: Architecture, block: Block) -> list[str]:
    """What the linears in the block's stacks would be called: a regular expression is matched against these."""
    names, found = _NAMES.get(architecture.model_type, {}), []
    for tensor in block.tensors:
        path, _, leaf = tensor.name.rpartition(".")
        if tensor.role == "experts":
            found += [f"{path}.{old}" for old, new in names.items() if new == leaf]
        elif tensor.role == "router" and names:
            found.append(path)
    return found


def convert(
    architecture: Architecture,
    targets: Iterable[str],
    lora: LoraSettings,
    expert_modules: bool = False,
    kind: AdapterKind = "lora",
) -> Converted:
    """Take the names of old from the targets and find the parameters they stand for.

    expert_modules: they are linears still, which can have a dropout.

    Raises RequestError where PEFT refuses: half of a fused pair, or a dropout or DoRA, which stacks cannot have
    (ParamWrapper.__init__).
    """
    names = _NAMES[architecture.model_type]
    remaining, endings, found = [], set(), set()
    for target in targets:
        old = next((name for name in names if target == name or target.endswith(f".{name}")), None)
        if old is None:
            remaining.append(target)
        else:
            endings.add(names[old])
            found.add(old)
    _check_pairs(names, found)
    parameters = frozenset(name for name in _stacks(architecture) if any(name.endswith(f".{e}") for e in endings))
    if not parameters or expert_modules:
        return Converted(tuple(remaining), parameters)
    if kind == "dora":
        raise RequestError(
            "lora.use_dora: adapters of experts cannot be DoRA's: use method 'lora', or target_modules without the "
            "experts",
            "lora.use_dora",
        )
    if lora.lora_dropout:
        raise RequestError(
            f"lora.lora_dropout {lora.lora_dropout}: adapters of experts cannot have a dropout: use 0, or "
            "target_modules without the experts",
            "lora.lora_dropout",
        )
    return Converted(tuple(remaining), parameters)


def _check_pairs(names: dict[str, str], found: set[str]) -> None:
    pair = {name for name, new in names.items() if new == _GATE_UP}
    missing = pair - found
    if missing and missing != pair:
        present = ", ".join(sorted(pair & found))
        raise RequestError(
            f"lora.target_modules: {present} without {', '.join(sorted(missing))}: the two are one parameter "
            f"({_GATE_UP}) now, so name both",
            "lora.target_modules",
        )


def _stacks(architecture: Architecture) -> list[str]:
    """Full names of experts and routers that are parameters."""
    roles = ("experts", "router")
    return [f"{b.prefix}.*.{t.name}" for b in architecture.blocks for t in b.tensors if t.role in roles]


def adapter_shapes(name: str, shape: tuple[int, ...], rank: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """lora_A and lora_B of a parameter [experts, out, in] or [out, in]: factors of their own for each expert.

    gate_up_proj stands for two linears and has twice the rank.
    """
    experts, out, inner = (1, *shape) if len(shape) == 2 else shape
    width = experts * rank * (2 if len(shape) == 3 and name.endswith(_GATE_UP) else 1)
    return (width, inner), (out, width)
