"""A config.json as typed fields: transformers' defaults filled in, aliases resolved, every value checked when read.

Whatever a config holds, a reader that goes through Config raises nothing but ArchitectureError.
"""

from collections.abc import Iterable, Mapping
from typing import NoReturn

from planner.errors import ArchitectureError

#: Bounds that keep every product inside 64 bits, and typing errors out.
MAX_LAYERS = 10_000
MAX_SIZE = 2**24
MAX_POSITIONS = 2**31
MAX_HEADS = 2**16


def shown(value: object) -> str:
    """A value as short text, whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, list | dict | tuple):
        return f"a {type(value).__name__} of {len(value)} items"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def refuse(field: str, value: object, rule: str) -> NoReturn:
    """Refuse the config's field: its value and the rule it breaks, in one line."""
    raise ArchitectureError(f"config.json: {field}={shown(value)} is not allowed: {field} {rule}", field="model")


class Config:
    """The fields of one config, or of one of its parts ("text_config"), by the names transformers gives them."""

    __slots__ = ("fields", "given", "part")

    def __init__(
        self,
        given: Mapping[str, object],
        defaults: Mapping[str, object],
        aliases: Mapping[str, str] | None = None,
        part: str = "",
    ):
        self.given = given
        self.part = part
        self.fields: dict[str, object] = {**defaults, **given}
        for alias, name in (aliases or {}).items():
            if alias in given:
                self.fields[name] = given[alias]
            elif name in self.fields:
                self.fields[alias] = self.fields[name]

    def get(self, name: str) -> object:
        """The raw value, None where the config and the defaults lack it."""
        return self.fields.get(name)

    def refuse(self, name: str, rule: str) -> NoReturn:
        refuse(self.part + name, self.fields.get(name), rule)

    def size(self, name: str, limit: int = MAX_SIZE) -> int:
        """A positive integer."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
            self.refuse(name, f"must be an integer from 1 to {limit}")
        return value

    def optional_size(self, name: str) -> int | None:
        """A positive integer, or None where the config says null or nothing."""
        return None if self.fields.get(name) is None else self.size(name)

    def count(self, name: str, limit: int = MAX_SIZE) -> int:
        """An integer that may be zero."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
            self.refuse(name, f"must be an integer from 0 to {limit}")
        return value

    def layers(self, name: str = "num_hidden_layers") -> int:
        return self.size(name, MAX_LAYERS)

    def positions(self, name: str = "max_position_embeddings") -> int:
        return self.size(name, MAX_POSITIONS)

    def flag(self, name: str) -> bool:
        """True or false; null counts as false."""
        value = self.fields.get(name)
        if value is not None and not isinstance(value, bool):
            self.refuse(name, "must be true or false")
        return bool(value)

    def share(self, name: str) -> float:
        """A number from 0 to 1: a dropout, a rotary share. null counts as 0."""
        value = self.fields.get(name)
        if value is None:
            return 0.0
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self.refuse(name, "must be a number from 0 to 1")
        return float(value)

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value or len(value) > 200:
            self.refuse(name, "must be a short text")
        return value

    def section(self, name: str) -> dict[str, object]:
        """A nested config ("vision_config"); nothing or null gives an empty one."""
        value = self.fields.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.refuse(name, "must be an object")
        return value

    def integers(self, name: str, limit: int = MAX_LAYERS) -> tuple[int, ...]:
        """A list of layer indices or other small integers; null gives an empty one."""
        value = self.fields.get(name)
        if value is None:
            return ()
        if not isinstance(value, list | tuple) or len(value) > MAX_LAYERS or not all(_small(x, limit) for x in value):
            self.refuse(name, f"must be a list of integers from 0 to {limit}")
        return tuple(value)

    def kinds(self, name: str, length: int, allowed: Iterable[str]) -> tuple[str, ...] | None:
        """A list with one word a layer, as layer_types; None where the config says null or nothing."""
        value = self.fields.get(name)
        if value is None:
            return None
        words = sorted(allowed)
        if not isinstance(value, list | tuple) or not all(isinstance(x, str) and x in words for x in value):
            self.refuse(name, f"must be a list of {', '.join(words)}")
        if len(value) != length:
            self.refuse(name, f"must have one entry for each of the {length} layers")
        return tuple(value)


def _small(value: object, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit
