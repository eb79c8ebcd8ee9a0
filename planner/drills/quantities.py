"""Amounts as people write them: "16 GB", "15.0 GiB", "41.9M", "0.5 %", "27 h", "$60"."""

import re
from typing import NamedTuple

from planner.drills.drill import Quantity
from planner.errors import RequestError
from planner.units import COUNTS, GB, GIB, KIB, MIB, format_count

_MEMORY: dict[str, float] = {"b": 1, "byte": 1, "bytes": 1, "kb": COUNTS["k"], "mb": COUNTS["M"], "gb": GB}
_MEMORY |= {"tb": COUNTS["T"], "kib": KIB, "mib": MIB, "gib": GIB, "tib": KIB * GIB}
_WORDS = {"thousand": "k", "million": "M", "bn": "B", "billion": "B", "trillion": "T"}
_COUNTS: dict[str, float] = {suffix.lower(): size for suffix, size in COUNTS.items()}
_COUNTS |= {word: COUNTS[suffix] for word, suffix in _WORDS.items()} | {"params": 1, "parameters": 1}
_TIMES: dict[str, float] = {"s": 1 / 3600, "sec": 1 / 3600, "seconds": 1 / 3600, "min": 1 / 60, "minutes": 1 / 60}
_TIMES |= {"h": 1, "hr": 1, "hour": 1, "hours": 1, "d": 24, "day": 24, "days": 24}
_MONEY: dict[str, float] = {"usd": 1, "$": 1, "dollar": 1, "dollars": 1}
_SHARES: dict[str, float] = {"%": 0.01, "percent": 0.01}
_RATIOS: dict[str, float] = {"bytes": 1, "byte": 1, "b": 1, "bytes a parameter": 1, "bytes per parameter": 1}

UNITS: dict[Quantity, dict[str, float]] = {
    "memory": _MEMORY,
    "parameters": _COUNTS,
    "share": _SHARES,
    "time": _TIMES,
    "money": _MONEY,
    "bytes a parameter": _RATIOS,
}
#: What to write, for each quantity.
EXAMPLES: dict[Quantity, str] = {
    "memory": "12.3 GiB or 13.2 GB",
    "parameters": "41.9M",
    "share": "0.5%",
    "time": "27 h",
    "money": "60 USD",
    "bytes a parameter": "16 bytes",
}
_AMOUNT = re.compile(r"(?P<dollar>\$?)\s*(?P<number>[-+]?[\d,_ ]*\.?\d+(?:[eE][-+]?\d+)?)\s*(?P<unit>[^\d]*)")


class Amount(NamedTuple):
    """A number and its unit as written; unit is "" where none was."""

    number: float
    unit: str


def read_amount(text: str) -> Amount:
    """The first amount of an answer.

    Raises RequestError with one line for what has no number.
    """
    found = _AMOUNT.search(text.strip().removeprefix("about ").removeprefix("~"))
    if found is None:
        raise RequestError(f"{text.strip()[:60]!r} is no number: write an amount with its unit", "answer")
    number = float(re.sub(r"[,_ ]", "", found["number"]))
    unit = "$" if found["dollar"] else " ".join(found["unit"].strip().strip(".").lower().split())
    return Amount(number, unit)


def factor(unit: str, quantity: Quantity) -> float | None:
    """What one of this unit is in the quantity's own; None for a unit of something else."""
    units = UNITS[quantity]
    if unit in units:
        return units[unit]
    first = unit.split(" ")[0] if unit else ""
    return units.get(first)


def is_unit(unit: str) -> bool:
    """Whether this is the unit of any quantity."""
    return any(factor(unit, quantity) is not None for quantity in UNITS)


def shown(value: float, quantity: Quantity) -> str:
    """The planner's answer as people write it."""
    if quantity == "memory":
        return f"{value / GIB:,.4g} GiB ({value / GB:,.4g} GB)" if value >= GIB / 10 else f"{value / MIB:,.4g} MiB"
    if quantity == "parameters":
        return format_count(int(value))
    if quantity == "share":
        return f"{value:.3%}"
    if quantity == "time":
        return f"{value:,.3g} hours"
    return f"{value:,.2f} USD" if quantity == "money" else f"{value:,.3g} bytes a parameter"
