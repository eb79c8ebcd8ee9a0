"""Which linears a method touches: PEFT's target_modules and bitsandbytes' rules, by name."""

import re
from collections.abc import Iterable
from typing import NoReturn

from planner.architecture.blocks import Architecture, Linear
from planner.errors import RequestError
from planner.method_settings import AdapterKind
from planner.methods.experts import convert, maps_experts, names_of_old, old_names
from planner.schema import LoraSettings

#: PEFT 0.21 tuners_utils.py _check_lora_target_modules_mamba
_MAMBA_TYPES = ("mamba", "nemotron_h")
_NOT_IN_MAMBA = ("out_proj",)

#: Their router is a subclass of nn.Linear that returns several tensors.
_TUPLE_ROUTER_TYPES = ("llama4", "phimoe")

#: Of targets that are refused, so that the reason is still read.
_SHOWN_CHARACTERS = 200


def adapted_names(
    architecture: Architecture, lora: LoraSettings, expert_modules: bool = False, kind: AdapterKind = "lora"
) -> frozenset[str]:
    """Full names ("model.layers.*.self_attn.q_proj") of the linears and expert stacks that get adapters.

    "all-linear" is every linear but the head (PEFT 0.21 tuners_utils._maybe_include_all_linear_layers); a list
    matches whole names or their endings; another string is a regular expression for the whole name
    (check_target_module_exists). expert_modules: experts are modules of linears, as in transformers 4.

    Raises RequestError where nothing matches, and where PEFT refuses what does.
    """
    if maps_experts(architecture) and kind != "adalora":  # peft 0.21 AdaLoraModel does not inject into parameters
        targets, parameters = convert(architecture, _leaves(architecture, lora), lora, expert_modules, kind)
        names = frozenset(_listed(architecture, targets)) | parameters
        _check_modules(architecture, lora, targets)
    else:
        names = frozenset(_targeted(architecture, lora))
        _check_modules(architecture, lora, lora.target_modules)
    model_type, leaves = architecture.model_type, {linear.leaf for _, linear in named_linears(architecture)}
    if not names:
        known = ", ".join(sorted(leaves))
        _refuse(lora, f"matches no linear layer of this {model_type} model; its linear layers are {known}")
    if model_type in _MAMBA_TYPES and any(_leaf(name) in _NOT_IN_MAMBA for name in names):
        others = ", ".join(sorted(leaves.difference(_NOT_IN_MAMBA, ["lm_head"])))
        _refuse(lora, f"includes out_proj, which PEFT does not adapt in {model_type}: list others of {others}")
    return names


def adapts_a_router_that_fails(architecture: Architecture, names: frozenset[str]) -> bool:
    """Whether a router is among the adapted that returns several tensors.

    PEFT 0.21 adapts it; lora.Linear.forward takes its result for one (``result.dtype``) and fails in the first step.
    """
    return architecture.model_type in _TUPLE_ROUTER_TYPES and any(_leaf(name) == "router" for name in names)


def _check_modules(architecture: Architecture, lora: LoraSettings, targets: str | tuple[str, ...]) -> None:
    """Refuse targets that name one layer of many, or modules that are no linears, which PEFT refuses or embeds."""
    if isinstance(targets, str):
        if targets.lower() == "all-linear":
            return
        hits = [m for m in _other_modules(architecture) if re.fullmatch(targets, m.replace("*", "0"))]
    else:
        hits = [m for m in _other_modules(architecture) if f".{m}".endswith(_endings(targets))]
        numbered = [t for t in targets if re.search(r"(^|\.)\d+\.", t)]
        if numbered:
            _refuse(
                lora, f"names {numbered[0]}, a module of one layer, which is not modelled: name modules of all layers"
            )
    if hits:
        _refuse(lora, f"includes {min(hits)}, which is no linear layer: name linear layers only")


def _endings(targets: Iterable[str]) -> tuple[str, ...]:
    """Of names as they are written here: no target of PEFT's means their "*"."""
    return tuple(f".{target}" for target in targets if "*" not in target)


def _other_modules(architecture: Architecture) -> set[str]:
    """Modules that are no linears, as far as names of linears and parameters tell: all that these are part of."""
    paths = [f"{b.prefix}.*.{t.name}" for b in architecture.blocks for t in b.tensors]
    paths += [t.name for t in architecture.tensors]
    paths += [name for name, _ in named_linears(architecture)]
    found: set[str] = set()
    for path in paths:
        while path := path.rpartition(".")[0]:
            found.add(path)
    old = {f"{b.prefix}.*.{name}" for b in architecture.blocks for name in names_of_old(architecture, b)}
    return found.difference(old, (name for name, _ in named_linears(architecture)))


def _refuse(lora: LoraSettings, reason: str) -> NoReturn:
    targets = lora.target_modules
    given = repr(list(targets) if isinstance(targets, tuple) else targets)
    given = given if len(given) <= _SHOWN_CHARACTERS else f"{given[:_SHOWN_CHARACTERS]}..."
    raise RequestError(f"lora.target_modules: {given} {reason}", "lora.target_modules")


def _leaf(name: str) -> str:
    return name.rpartition(".")[2]


def _targeted(architecture: Architecture, lora: LoraSettings) -> list[str]:
    targets, linears = lora.target_modules, named_linears(architecture)
    if not isinstance(targets, str):
        return _listed(architecture, targets)
    if targets.lower() == "all-linear":
        return [name for name, linear in linears if linear is not architecture.head]
    return _matching(architecture, lora, targets)


def _listed(architecture: Architecture, targets: Iterable[str]) -> list[str]:
    endings = _endings(targets)
    return [name for name, _ in named_linears(architecture) if f".{name}".endswith(endings)]


def _leaves(architecture: Architecture, lora: LoraSettings) -> list[str]:
    """The targets as a list, as PEFT makes it before it maps experts: of a text, the last parts of what it matches."""
    targets = lora.target_modules
    if not isinstance(targets, str):
        return list(targets)
    leaves = [_leaf(name) for name in _targeted(architecture, lora)]
    return [*leaves, *old_names(architecture)] if targets.lower() == "all-linear" else leaves


def _matching(architecture: Architecture, lora: LoraSettings, pattern: str) -> list[str]:
    """Names that a regular expression matches as a whole, in every layer that has them.

    Raises RequestError for what is no regular expression, and for one that takes layers apart.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        _refuse(lora, f"is neither 'all-linear' nor a regular expression ({error})")
    found = []
    for name, indices in _places(architecture).items():
        hits = {compiled.fullmatch(name.replace("*", str(index))) is not None for index in indices}
        if len(hits) > 1:
            _refuse(lora, f"matches {name} in some layers only, which is not modelled: name modules of all layers")
        found += [name] if hits == {True} else []
    return found


def _places(architecture: Architecture) -> dict[str, list[int]]:
    """Full names a regular expression may match, and the layers in which they are (one entry, 0, outside of layers)."""
    places: dict[str, list[int]] = {}
    for block in architecture.blocks:
        for name in (*(linear.name for linear in block.linears), *names_of_old(architecture, block)):
            places.setdefault(f"{block.prefix}.*.{name}", []).extend(block.indices)
    outside = (*architecture.linears, architecture.head) if architecture.head else architecture.linears
    return places | {linear.name: [0] for linear in outside}


def quantized_linears(architecture: Architecture) -> frozenset[str]:
    """Full names of the linears whose weights load_in_4bit converts: exact nn.Linear and Conv1D, without the head.

    Source: transformers 5.23 integrations/bitsandbytes.py replace_with_bnb_linear and get_keys_to_not_convert.
    """
    return frozenset(
        name
        for name, linear in named_linears(architecture)
        if linear.cls != "subclass" and linear.quantizable and linear is not architecture.head
    )


def named_linears(architecture: Architecture) -> list[tuple[str, Linear]]:
    """Every linear with its full name; "*" stands for the layer's index."""
    found = [(f"{block.prefix}.*.{linear.name}", linear) for block in architecture.blocks for linear in block.linears]
    found += [(linear.name, linear) for linear in architecture.linears]
    if architecture.head is not None:
        found.append((architecture.head.name, architecture.head))
    return found
