"""The numbers of a walk-through: each declared once with its value, unit and where it was taken from.

A text has slots only; a slot shows a fact. So no number in a text can be older than the planner.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.catalog.references import find_reference
from planner.units import GB, MIB, format_count, format_gib

Value = int | float | str | tuple[int | float, ...]

#: Above this a count is shown as 41.9M; {name:full} shows all of its digits.
_FULL_COUNT = 10**6
_GIB_FROM = 100 * MIB


@dataclass(frozen=True, slots=True)
class Fact:
    """One declared value.

    unit: "bytes", "count", "share" (shown in percent), "ratio", "usd" and "usd0" (without cents), "seconds", "hours",
        "flops", "text", "plain", "quoted_gb" (GB of 10^9 bytes, as claims say it), "gib" and "two" (two decimals).
    origin: the request's field, the plan's field or term, a part of the architecture, a formula, or a reference.
    """

    name: str
    value: Value
    unit: str
    origin: str

    def shown(self, style: str = "") -> str:
        """The value as a person reads it; style: "full" (all digits), "gb" (decimal, as papers say it), "bytes"."""
        if isinstance(self.value, tuple):
            return ", ".join(_number(value) for value in self.value)
        if isinstance(self.value, str):
            return self.value
        if style:
            return _STYLES[style](self.value)
        return _UNITS[self.unit](self.value)


def _number(value: float) -> str:
    """All digits of a whole number; four significant ones of another."""
    if value == int(value) and abs(value) < 10**18:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 10**4 else f"{value:,.0f}"


def _bytes(value: float) -> str:
    """GiB, or MiB and bytes where they are few."""
    if abs(value) >= _GIB_FROM:
        return format_gib(value, 2)
    if abs(value) >= MIB:
        return f"{value / MIB:.3g} MiB"
    return f"{value:,.0f} bytes"


def _count(value: float) -> str:
    return format_count(int(value)) if abs(value) >= _FULL_COUNT else _number(value)


def _share(value: float) -> str:
    return f"{value:.3g}%" if abs(value := value * 100) < 10 else f"{value:.1f}%"


def _ratio(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def _flops(value: float) -> str:
    for size, name in ((10**18, "EFLOP"), (10**15, "PFLOP"), (10**12, "TFLOP"), (10**9, "GFLOP")):
        if value >= size:
            return f"{value / size:.3g} {name}"
    return f"{value:,.0f} FLOP"


def _seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


_UNITS: dict[str, Callable[[float], str]] = {
    "bytes": _bytes,
    "count": _count,
    "share": _share,
    "ratio": _ratio,
    "usd0": lambda value: f"{value:,.0f} USD",
    "usd": lambda value: f"{value:,.2f} USD",
    "seconds": _seconds,
    "hours": lambda value: f"{value:,.3g} hours",
    "flops": _flops,
    "plain": _number,
    "quoted_gb": lambda value: f"{value:.3g} GB" if value < 100 else f"{value:,.0f} GB",
    "gib": lambda value: f"{value:,.2f}",
    "two": lambda value: f"{value:.2f}",
}
_STYLES: dict[str, Callable[[float], str]] = {
    "full": _number,
    "bytes": lambda value: f"{value:,.0f} bytes",
    "gb": lambda value: f"{value / GB:.3g} GB",
    "plain": lambda value: str(value) if isinstance(value, int) else f"{value:g}",
}


@dataclass(slots=True)
class Facts(Mapping[str, Fact]):
    """The declared values of one walk-through, by name."""

    _facts: dict[str, Fact] = field(default_factory=dict)

    def put(self, name: str, value: Value, unit: str, origin: str) -> None:
        """Declare a value; a name stands for one value."""
        assert name not in self._facts, name
        self._facts[name] = Fact(name, value, unit, origin)

    def take(self, label: str, source: Any, unit: str, **names: str) -> None:
        """Declare fields of a request, a plan or an architecture: name of the fact = name of the field."""
        for name, path in names.items():
            value = source
            for part in path.split("."):
                value = getattr(value, part)
            self.put(name, value, unit, f"{label}: {path}")

    def cite(self, **names: str) -> None:
        """Declare figures that others published: name of the fact = key of data/references.csv."""
        for name, key in names.items():
            row = find_reference(key)
            assert row.value is not None, key
            self.put(name, row.value, row.unit or "plain", f"cited: {key}")

    def flag(self, **conditions: object) -> None:
        """Declare what a text's conditions ask for."""
        for name, holds in conditions.items():
            self.put(name, int(bool(holds)), "plain", "condition")

    def __getitem__(self, name: str) -> Fact:
        return self._facts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)
