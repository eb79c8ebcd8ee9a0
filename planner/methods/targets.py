"""Which linears a method touches: PEFT's target_modules and bitsandbytes' rules, by name."""

import re

from planner.architecture.blocks import Architecture, Linear
from planner.errors import RequestError
from planner.schema import LoraSettings


def adapted_linears(architecture: Architecture, lora: LoraSettings) -> frozenset[str]:
    """Full names ("model.layers.*.self_attn.q_proj") of the linears that get LoRA matrices.

    "all-linear" is every linear but the head (PEFT 0.21 tuners_utils._maybe_include_all_linear_layers); a list
    matches whole names or their endings; another string is a regular expression for the whole name
    (check_target_module_exists).

    Raises RequestError where nothing matches, as PEFT does.
    """
    names = [name for name, linear in named_linears(architecture) if _matches(name, linear, architecture, lora)]
    if not names:
        known = sorted({linear.leaf for _, linear in named_linears(architecture)})
        raise RequestError(
            f"lora.target_modules: {lora.target_modules!r} matches no linear layer of this {architecture.model_type} "
            f"model; its linear layers are {', '.join(known)}",
            "lora.target_modules",
        )
    return frozenset(names)


def _matches(name: str, linear: Linear, architecture: Architecture, lora: LoraSettings) -> bool:
    targets = lora.target_modules
    is_head = linear is architecture.head
    if not isinstance(targets, str):
        return any(name == target or name.endswith(f".{target}") for target in targets)
    if targets.lower() == "all-linear":
        return not is_head
    return _matches_pattern(targets, name, architecture)


def _matches_pattern(pattern: str, name: str, architecture: Architecture) -> bool:
    """Whether a regular expression matches the whole name, in every layer or in none."""
    indices = [i for b in architecture.blocks for i in b.indices for x in b.linears if f"{b.prefix}.*.{x.name}" == name]
    try:
        found = {re.fullmatch(pattern, name.replace("*", str(index))) is not None for index in indices or (0,)}
    except re.error as error:
        rule = f"is neither 'all-linear' nor a regular expression ({error})"
        raise RequestError(f"lora.target_modules: {pattern!r} {rule}", "lora.target_modules") from None
    if len(found) > 1:
        rule = f"matches {name} in some layers only, which is not modelled: name modules of all layers"
        raise RequestError(f"lora.target_modules: {pattern!r} {rule}", "lora.target_modules")
    return found.pop()


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
