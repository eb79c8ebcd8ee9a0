"""Tapes shared by structures that differ only in what the layer code never looked at.

A tape is made with a structure that notes which of its fields are read. Layer code has no other input, so a structure
that has the same values there runs the same operations, and takes the same tape.
"""

from collections.abc import Callable
from operator import attrgetter
from types import FunctionType, MethodType, ModuleType
from typing import Any, Generic, TypeVar, cast

from planner.memory.layers import family_module
from planner.memory.structure import Structure

Tape = TypeVar("Tape")
Read = Callable[[Structure], Any]


class _Watched:
    """A structure, or its block, that notes the names of the fields that are read, once each.

    Its class's own properties and methods run on it, so that what they read is noted and they are not.
    """

    def __init__(self, of: Any, names: dict[str, None], prefix: str = ""):
        self._of, self._names, self._prefix = of, names, prefix
        if not prefix:
            self.block = _Watched(of.block, names, "block.")

    def __getattr__(self, name: str) -> Any:
        defined = getattr(type(self._of), name)
        if isinstance(defined, property):
            return defined.__get__(self)
        if isinstance(defined, FunctionType):
            return MethodType(defined, self)
        self._names[f"{self._prefix}{name}"] = None
        value = self.__dict__[name] = getattr(self._of, name)
        return value


class Shared(Generic[Tape]):
    """What `make` tapes, once for all structures that it cannot tell apart."""

    def __init__(self, make: Callable[[ModuleType, Structure], Tape]):
        self._make = make
        self._made: dict[str, dict[tuple[str, ...], tuple[Read, dict[Any, Tape]]]] = {}

    def __call__(self, structure: Structure) -> Tape:
        """The tape of a structure, new only where no other one serves."""
        family = family_module(structure.family)
        known = self._made.setdefault(family.__name__, {})
        for read, by_values in known.values():
            found = by_values.get(read(structure))
            if found is not None:
                return found
        names: dict[str, None] = {}
        tape = self._make(family, cast(Structure, _Watched(structure, names)))
        key = tuple(sorted(names))
        if key not in known:
            known[key] = (attrgetter(*key), {})
        read, by_values = known[key]
        by_values[read(structure)] = tape
        return tape

    @property
    def num_tapes(self) -> int:
        """Tapes made so far."""
        return sum(len(by_values) for known in self._made.values() for _, by_values in known.values())
