"""What the planner found of one claim, and how a range is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from planner.learn.facts import Facts

Verdict = Literal["holds", "holds only if", "does not hold"]
VERDICTS: tuple[Verdict, ...] = ("holds", "holds only if", "does not hold")

#: "About" in a claim: a tenth to either side, and never less than what its last digit leaves open.
TOLERANCE = 0.1
#: A claim holds where nearly all settings agree with it: what is left are corners that nobody has in mind.
NEARLY_ALL = 0.9


@dataclass(frozen=True, slots=True)
class Found:
    """One setting and what the planner says for it."""

    settings: Mapping[str, str]
    value: float


@dataclass(slots=True)
class Checked:
    """A claim's verdict: the computed range, in how many settings it agrees, which those are, and the words on it.

    facts: the values that the words show. sources: keys of data/references.csv.
    """

    verdict: Verdict
    low: float
    high: float
    unit: str
    settings: int
    agreeing: int
    only_if: tuple[str, ...] = ()
    basis: Literal["computed", "published evaluations"] = "computed"
    facts: Facts = field(default_factory=Facts)
    sources: tuple[str, ...] = ()


def within(value: float, low: float, high: float) -> bool:
    """Whether a value is about in a stated range."""
    return low - _slack(low) <= value <= high + _slack(high)


def _slack(stated: float) -> float:
    decimals = len(f"{stated:g}".partition(".")[2])
    return max(abs(stated) * TOLERANCE, 0.5 * 0.1**decimals)


def judged(found: Sequence[Found], low: float, high: float, unit: str) -> Checked:
    """The verdict on a stated range over the settings tried."""
    return agreed(found, [within(one.value, low, high) for one in found], unit)


def agreed(found: Sequence[Found], agrees: Sequence[bool], unit: str) -> Checked:
    """The verdict where it is known which settings agree with the claim."""
    assert found and len(found) == len(agrees)
    values, count = [one.value for one in found], sum(agrees)
    matching = [one for one, agree in zip(found, agrees, strict=True) if agree]
    return Checked(
        verdict=verdict_of(count, len(found)),
        low=min(values),
        high=max(values),
        unit=unit,
        settings=len(found),
        agreeing=count,
        only_if=conditions(found, matching) if 0 < count < len(found) else (),
    )


def verdict_of(agreeing: int, settings: int) -> Verdict:
    """By the share of settings that agree."""
    if not agreeing:
        return "does not hold"
    return "holds" if agreeing >= NEARLY_ALL * settings else "holds only if"


def together(parts: Mapping[str, Checked]) -> Checked:
    """A claim of several parts: it holds as far as all of them do. Each part's range is a fact: low_PART, high_PART."""
    found = list(parts.values())
    whole = Checked(
        verdict=max((one.verdict for one in found), key=VERDICTS.index),
        low=min(one.low for one in found),
        high=max(one.high for one in found),
        unit=found[0].unit,
        settings=sum(one.settings for one in found),
        agreeing=sum(one.agreeing for one in found),
        only_if=tuple(f"{name}: {one.only_if[0]}" for name, one in parts.items() if one.only_if),
    )
    for name, one in parts.items():
        for edge in ("low", "high"):
            whole.facts.put(f"{edge}_{name}", getattr(one, edge), _fact_unit(one.unit), f"plan ({name}): {edge}")
    return whole


def _fact_unit(unit: str) -> str:
    return "quoted_gb" if unit == "GB" else "plain"


# -- the settings in which a claim holds -----------------------------------------------------------------------------

#: A combination of settings is named where at least so many of its settings agree.
_MOST = 0.5
_MANY_CONDITIONS = 6


#: Two settings are named where they tell more than one by at least this.
_MORE = 1.1


def conditions(found: Sequence[Found], matching: Sequence[Found]) -> tuple[str, ...]:
    """Values of the setting that tells most about agreement, or of two where two tell more: those in which most agree.

    Where none has most, the one with the largest share; models are no choice, and left out.
    """
    agrees = {id(one) for one in matching}
    names = [name for name in found[0].settings if name != "model"] or ["model"]
    one = max((_counted(found, agrees, (name,)) for name in names), key=_told)
    two = max((_counted(found, agrees, pair) for pair in combinations(names, 2)), key=_told, default=one)
    counted = two if _told(two) > _MORE * _told(one) else one
    shares = {words: agree / tried for words, (agree, tried) in counted.items()}
    ranked = sorted(shares, key=lambda words: -shares[words])
    named = [words for words in ranked if shares[words] >= _MOST] or ranked[:1]
    return tuple(", ".join(words) for words in named[:_MANY_CONDITIONS])


Counted = dict[tuple[str, ...], tuple[int, int]]


def _counted(found: Sequence[Found], agrees: set[int], pair: Sequence[str]) -> Counted:
    """By combination of two settings: how many agree, of how many."""
    counted: Counted = {}
    for one in found:
        words = tuple(one.settings[name] for name in pair)
        agree, tried = counted.get(words, (0, 0))
        counted[words] = agree + (id(one) in agrees), tried + 1
    return counted


def _told(counted: Counted) -> float:
    """How far the shares of combinations lie from a half: a setting that decides has none in between."""
    return sum(abs(agree - tried / 2) for agree, tried in counted.values())
