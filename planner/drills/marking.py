"""An answer held against the planner's: right, or which mistake it looks like."""

from dataclasses import dataclass
from math import log10
from typing import Literal

from planner.drills.drill import Drill, Quantity
from planner.drills.quantities import EXAMPLES, factor, is_unit, read_amount, shown
from planner.errors import RequestError
from planner.units import COUNTS, GB, GIB

Outcome = Literal[
    "right", "wrong", "wrong unit", "no unit", "GB for GiB", "tenfold", "a factor of two", "bits", "partly"
]


@dataclass(frozen=True, slots=True)
class Mark:
    """outcome, the share of the points reached (0 to 1), and a line to say; hit, missed: points of open questions."""

    outcome: Outcome
    share: float
    text: str
    hit: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()


def mark(drill: Drill, answer: str) -> Mark:
    """Mark an answer.

    Raises RequestError with one line for an answer that cannot be read.
    """
    if drill.kind == "open":
        return _mark_open(drill, answer)
    if drill.kind == "choice":
        return _mark_choice(drill, answer)
    return _mark_number(drill, answer)


def right_answer(drill: Drill) -> str:
    """The planner's answer, to be shown."""
    if drill.value is None or drill.quantity is None:
        return drill.answer
    return shown(drill.value, drill.quantity)


def _mark_choice(drill: Drill, answer: str) -> Mark:
    said = answer.strip().lower()
    chosen = [choice for choice in drill.choices if choice.lower() == said]
    chosen = chosen or [choice for choice in drill.choices if said and choice.lower().startswith(said)]
    if len(chosen) != 1:
        raise RequestError(
            f"{answer.strip()[:60]!r} is none of {', '.join(drill.choices)}: write one of them", "answer"
        )
    if chosen[0] == drill.answer:
        return Mark("right", 1, "Right.")
    return Mark("wrong", 0, f"No: {drill.answer}.")


def _mark_open(drill: Drill, answer: str) -> Mark:
    """By words: a rough check, the points are there to compare with."""
    said = " ".join(answer.lower().split())
    if not said:
        raise RequestError("the answer is empty: write a few sentences", "answer")
    hit = tuple(p.text for p in drill.points if any(word in said for word in p.words))
    missed = tuple(p.text for p in drill.points if p.text not in hit)
    share = len(hit) / len(drill.points)
    outcome: Outcome = "right" if not missed else "partly" if hit else "wrong"
    return Mark(outcome, share, f"{len(hit)} of {len(drill.points)} points found by their words.", hit, missed)


def _mark_number(drill: Drill, answer: str) -> Mark:
    assert drill.value is not None and drill.quantity is not None
    given = read_amount(answer)
    of_one = factor(given.unit, drill.quantity)
    if not given.unit and drill.quantity == "bytes a parameter":
        of_one = 1
    if of_one is None:
        return _without(drill, given.number, given.unit)
    return _held(drill, given.number * of_one)


def _without(drill: Drill, number: float, unit: str) -> Mark:
    """No unit, or one of another quantity: whether the number is right is said, the answer does not count."""
    assert drill.value is not None and drill.quantity is not None
    example = EXAMPLES[drill.quantity]
    if not unit:
        fits = any(_near(number * of_one, drill) for of_one in _units(drill.quantity))
        return Mark("no unit", 0, f"{'The number fits, but its' if fits else 'Its'} unit is missing: write {example}.")
    kind = "a unit of something else" if is_unit(unit) else "no unit known here"
    return Mark("wrong unit", 0, f"{unit!r} is {kind}: the answer is an amount like {example}.")


def _units(quantity: Quantity) -> list[float]:
    return [GIB, GB] if quantity == "memory" else [COUNTS["B"], COUNTS["M"]] if quantity == "parameters" else [1, 0.01]


def _near(value: float, drill: Drill, scale: float = 1) -> bool:
    assert drill.value is not None
    return abs(value * scale / drill.value - 1) <= drill.tolerance


def _held(drill: Drill, value: float) -> Mark:
    """Right, or the usual mistakes in the order of how likely they are."""
    assert drill.value is not None
    off = value / drill.value if value > 0 else 0
    if _near(value, drill):
        return Mark("right", 1, "Right.")
    if drill.quantity == "memory" and (_near(value, drill, GB / GIB) or _near(value, drill, GIB / GB)):
        return Mark("GB for GiB", 0, "The number is right in the other unit: 1 GiB is 1.074 GB.")
    if off and round(log10(off)) and _near(value, drill, 10 ** -round(log10(off))):
        return Mark("tenfold", 0, f"Off by a power of ten: {off:,.3g} times the answer.")
    if _near(value, drill, 8) or _near(value, drill, 1 / 8):
        return Mark("bits", 0, "Off by eight: bits taken for bytes?")
    if _near(value, drill, 2) or _near(value, drill, 1 / 2):
        return Mark("a factor of two", 0, "Off by two: which dtype, and how many copies?")
    return Mark("wrong", 0, f"No: {off:,.3g} times the answer." if off else "No.")
