"""A plan's terms beside the storages of a trace: both brought to groups that each level can tell apart.

Weights are told apart by what they are and their dtype, gradients and optimizer states stand as one, and what the step
makes is told apart by the number of elements of one tensor: the plan knows it as a product of symbols, the trace by
the size of the storage.  Tensors of equal size stand in one group whatever they are for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from planner.answer import Term

_MADE_BY_THE_STEP = ("activations", "logits", "workspace")
_QUANTIZATION_STATES = (".absmax", ".code", ".offset")
_ITEMSIZE = {"float32": 4, "int64": 8, "int32": 4, "float64": 8, "uint8": 1, "int8": 1, "bool": 1}

Key = tuple[str, int]


@dataclass(slots=True)
class Group:
    """Bytes of one group at both levels; names: what the plan calls its terms, or the trace its modules."""

    size: str = ""
    plan: int = 0
    other: int = 0
    names: dict[str, None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the group holds, in a few words."""
        listed = ", ".join(list(self.names)[:3]) + (", ..." if len(self.names) > 3 else "")
        return f"{self.size} ({listed})" if self.size and listed else self.size or listed


def group_terms(terms: Iterable[Term], storages: Iterable[Mapping[str, Any]]) -> list[Group]:
    """Groups of terms and storages, the largest first."""
    groups: dict[Key, Group] = defaultdict(Group)
    for term in terms:
        if term.category != "runtime":
            _add_term(groups[_term_key(term)], term)
    planned = set(groups)
    for storage in storages:
        key = _storage_key(storage)
        _add_storage(groups[key], storage, known=key in planned)
    return sorted(groups.values(), key=lambda group: -max(group.plan, group.other))


def _term_key(term: Term) -> Key:
    if term.category == "weights":
        return _weight_name(term.name), 0
    if term.category not in _MADE_BY_THE_STEP:
        return term.category, 0
    sizes = [value for name, value in term.inputs.items() if name != "times" and isinstance(value, int)]
    if not sizes:
        return term.name, 0
    return "elements", -(-prod(sizes) // 64) if term.formula.find("/ 64") >= 0 else prod(sizes)


def _weight_name(name: str) -> str:
    """Adapters, 4-bit weights and their constants by name, all else by dtype: "norm weights (float32)"."""
    if name.startswith(("adapters", "4-bit")):
        return name.partition(" (")[0]
    dtype = name.partition("(")[2].rstrip(")")
    return f"other weights in {dtype}" if dtype else name


def _add_term(group: Group, term: Term) -> None:
    group.plan += term.bytes
    key = _term_key(term)
    if key[0] == "elements":
        group.size = " x ".join(name for name in term.inputs if name != "times")
        group.names[term.name] = None
    else:
        group.size = key[0]


def _storage_key(storage: Mapping[str, Any]) -> Key:
    category, module, dtype = storage["category"], str(storage["module"]), storage["dtype"]
    if category in _MADE_BY_THE_STEP:
        return "elements", storage["bytes"] // storage["count"] // _ITEMSIZE.get(dtype, 2)
    if category != "weights":
        return category, 0
    if module.endswith(_QUANTIZATION_STATES) or ".state2." in module:
        return "4-bit block constants", 0
    if "lora_" in module:
        return "adapters", 0
    return "4-bit weights" if dtype == "uint8" else f"other weights in {dtype}", 0


def _add_storage(group: Group, storage: Mapping[str, Any], known: bool) -> None:
    group.other += storage["bytes"]
    if known:
        return
    key = _storage_key(storage)
    if key[0] == "elements":
        group.size = group.size or " x ".join(map(str, storage["shape"])) or "1 element"
        group.names[storage["module_class"] or "the step"] = None
    else:
        group.size = key[0]
