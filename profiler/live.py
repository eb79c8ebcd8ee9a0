"""What is live at one moment: storages of one kind together, with the class of the module that made or holds them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import nn

from profiler.categories import CATEGORIES, Bytes, Categories, Category
from profiler.storages import Birth

Classes = dict[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """What alike storages have in common; module: the name of the module or of the tensor, a star for each number."""

    category: Category
    module_class: str
    module: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Storages:
    """Alike storages that are live together: how many, and their bytes in all."""

    category: Category
    module_class: str
    module: str
    dtype: str
    shape: tuple[int, ...]
    count: int
    bytes: int


#: Kinds of storages: how many there are, and their bytes.
Counts = dict[Kind, tuple[int, int]]


def classes_of(model: nn.Module) -> Classes:
    """The class of each module by its name."""
    return {name: type(module).__name__ for name, module in model.named_modules()}


def counts_at(categories: Categories, event: int) -> Counts:
    """What is live right after an event."""
    counts: Counts = {}
    for birth in categories.record.live_at(event):
        kind = _kind(birth, categories.of(birth), categories.classes)
        count, size = counts.get(kind, (0, 0))
        counts[kind] = count + 1, size + birth.num_bytes
    return counts


def _kind(birth: Birth, category: Category, classes: Mapping[str, str]) -> Kind:
    module_class = "optimizer" if birth.phase == "optimizer" else class_of(birth.module, classes)
    return Kind(category, module_class, pattern(birth.module), birth.dtype, birth.shape)


def class_of(name: str, classes: Mapping[str, str]) -> str:
    """The class of the module of this name, or of the one that holds the tensor of this name."""
    while name and name not in classes:
        name = name.rpartition(".")[0]
    return classes.get(name, "")


def pattern(module: str) -> str:
    """A module's name with a star for each number."""
    return ".".join("*" if part.isdigit() else part for part in module.split("."))


def as_storages(counts: Counts) -> tuple[Storages, ...]:
    """The kinds, the largest first."""
    found = (
        Storages(k.category, k.module_class, k.module, k.dtype, k.shape, count, size)
        for k, (count, size) in counts.items()
        if size
    )
    return tuple(sorted(found, key=lambda s: (-s.bytes, s.category, s.module, s.dtype, s.shape)))


def by_module_class(storages: Iterable[Storages]) -> dict[str, Bytes]:
    """Bytes of each class of modules, by category, the largest class first."""
    found: dict[str, Bytes] = {}
    for one in storages:
        live = found.setdefault(one.module_class, dict.fromkeys(CATEGORIES, 0))
        live[one.category] += one.bytes
    return dict(sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0])))
