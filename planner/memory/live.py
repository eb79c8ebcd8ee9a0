"""What is live on a tape: bytes by label, category and product of symbols; and the events that made it so."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Shape = tuple[str | int, ...]


Monomial = tuple[str, ...]


Category = Literal["activations", "workspace", "gradients", "logits"]


Key = tuple[str, Category, Monomial]


Kind = Literal[
    "matmul", "attention", "convolution", "elementwise", "norm", "softmax", "embedding", "loss", "dequantize"
]


ITEMSIZE = {"float32": 4, "bfloat16": 2, "float16": 2, "int64": 8, "bool": 1, "uint8": 1, "complex64": 8}


Group = tuple[Category, Monomial, int]


class Live(dict[Key, int]):
    """Bytes per (label, category, monomial) of what is live."""

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The same with labels added up: what sums need, once for all requests of a structure."""
        total: dict[tuple[Category, Monomial], int] = {}
        for (_, category, monomial), coefficient in self.items():
            total[category, monomial] = total.get((category, monomial), 0) + coefficient
        return tuple((category, monomial, coefficient) for (category, monomial), coefficient in total.items())


@dataclass(slots=True)
class Section:
    """A stretch of a tape: what was live at its start, every change of bytes since, and where maxima were.

    marks: (phase, number of events before it).
    """

    start: Live = field(default_factory=Live)
    events: list[tuple[Key, int]] = field(default_factory=list)
    marks: list[tuple[str, int]] = field(default_factory=list)

    def live_at(self, position: int) -> Live:
        """Bytes per (label, category, monomial) after that many events."""
        live = dict(self.start)
        for key, change in self.events[:position]:
            live[key] = live.get(key, 0) + change
        return Live({key: coefficient for key, coefficient in live.items() if coefficient})
