"""Fits the bands: quantiles of log(measured / predicted) by kind of request, small kinds drawn towards wider ones.

A kind's distribution is a mixture: its own runs weigh n / (n + SHRINKAGE), the next wider kind's distribution the
rest. Within a kind a source's runs together weigh as the square root of their number, since they share their mistakes.
The band is about device bytes, so where the stack is named quantiles are those of what allocator or driver showed;
figures of tensor bytes, which lie much nearer, are held against the band as all others are. Where none is named the
stack is what is unknown, and all figures tell of it. Each side is then widened by the least factor under which half of
what the band does not claim lies beyond it where the fit has not seen the run's source (leave-one-source-out; 1 where
that already holds).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from planner.catalog.rows.band import UNNAMED, BandRunRow

COVERAGE = 0.90
#: Runs of the next wider kind that weigh as much as one kind's own.
SHRINKAGE = 20
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Published figures have three digits or so: no band is narrower than half a percent to each side.
ROUNDING = 0.005
ANY = "any"

Kind = tuple[str, str, str]
Weighted = list[tuple[float, float]]
Quantiles = tuple[float, ...]
#: Factors on what lies below the prediction, and above it.
Widening = tuple[float, float]


@dataclass(frozen=True, slots=True)
class FittedBand:
    """One kind of request (devices, certainty, stack) and its quantiles; runs and sources of exactly that kind."""

    kind: Kind
    quantiles: Quantiles
    runs: int
    sources: int


@dataclass(frozen=True, slots=True)
class Fit:
    """All bands of one device, and what they cover where the source was left out."""

    bands: tuple[FittedBand, ...]
    widening: Widening
    held_out: tuple["HeldOut", ...]

    @property
    def coverage(self) -> float | None:
        """Share of the runs inside the band of a fit without their source; None where there is but one source."""
        return coverage(self.held_out, self.widening)

    @property
    def median_width(self) -> float | None:
        """Median over the runs of (high - low) / predicted, in those same bands."""
        widths = [one.width(self.widening) for one in self.held_out]
        return median(widths) if widths else None


@dataclass(frozen=True, slots=True)
class HeldOut:
    """One run beside the band, not yet widened, of a fit without its source."""

    run: BandRunRow
    quantiles: Quantiles

    def inside(self, widening: Widening) -> bool:
        """Whether the run lies in the widened band."""
        low, *_, high = widened(self.quantiles, widening)
        return low <= self.run.log_ratio <= high

    def width(self, widening: Widening) -> float:
        """(high - low) / predicted of the widened band."""
        low, *_, high = widened(self.quantiles, widening)
        return math.exp(high) - math.exp(low)

    @property
    def widening_needed(self) -> Widening:
        """The least factors under which the run lies in the band."""
        ratio = self.run.log_ratio
        return max(ratio / self.quantiles[0], 0.0), max(ratio / self.quantiles[-1], 0.0)


def fit(runs: Sequence[BandRunRow]) -> Fit:
    """The bands of these runs, which must be of one device and asked in one way: with their stack, or without.

    What is counted on a CPU is not widened.
    """
    on_cpu, named = runs[0].device == "cpu", runs[0].stack != UNNAMED
    shown = [run for run in runs if run.level == "device"] if named and not on_cpu else runs
    held_out = () if on_cpu else tuple(_leave_each_source_out(runs, shown))
    widening = _widening(held_out)
    return Fit(tuple(_band(shown, kind, widening) for kind in _kinds(shown)), widening, held_out)


def widened(quantiles: Quantiles, widening: Widening) -> Quantiles:
    """Each quantile times its side's factor."""
    return tuple(value * widening[value > 0] for value in quantiles)


def coverage(held_out: Iterable[HeldOut], widening: Widening) -> float | None:
    """Share of the runs inside their band; None of no runs."""
    inside = [one.inside(widening) for one in held_out]
    return sum(inside) / len(inside) if inside else None


def kinds_of(run: BandRunRow) -> tuple[Kind, ...]:
    """The kinds that a run belongs to, from the widest to its own.

    On a CPU only the certainty tells runs apart. Answers whose reading is open (planner/estimate.py _certainty) are a
    kind apart: they say nothing of the others.
    """
    if run.device == "cpu":
        return (ANY, ANY, ANY), (ANY, run.certainty, ANY)
    if run.stack == UNNAMED and run.certainty == "fitted":
        return ((ANY, run.certainty, UNNAMED),)
    if run.stack == UNNAMED:
        return (ANY, ANY, UNNAMED), (run.devices, ANY, UNNAMED), (run.devices, run.certainty, UNNAMED)
    return (
        (ANY, ANY, ANY),
        (run.devices, ANY, ANY),
        (run.devices, run.certainty, ANY),
        (run.devices, run.certainty, run.stack),
    )


def kind_quantiles(runs: Sequence[BandRunRow], chain: Sequence[Kind]) -> Quantiles:
    """Quantiles of the last kind of a chain from the widest on; a kind without runs takes the next wider one's."""
    mixed: Weighted = []
    for kind in chain:
        own = [run for run in runs if kind in kinds_of(run)]
        if own:
            share = len(own) / (len(own) + SHRINKAGE) if mixed else 1.0
            mixed = [(value, weight * (1 - share)) for value, weight in mixed] + _weighted(own, share)
    return tuple(_quantile(sorted(mixed), level) for level in LEVELS)


def _weighted(runs: Sequence[BandRunRow], total: float) -> Weighted:
    """Each run's log ratio and weight; the weights sum to the total."""
    sizes = Counter(run.source for run in runs)
    whole = sum(math.sqrt(size) for size in sizes.values())
    return [(run.log_ratio, total / whole / math.sqrt(sizes[run.source])) for run in runs]


def _quantile(ordered: Weighted, level: float) -> float:
    """The weighted quantile, linear between the middles of the weights."""
    reached, before = 0.0, None
    for value, weight in ordered:
        middle = reached + weight / 2
        if middle >= level:
            if before is None:
                return value
            last, last_middle = before
            return last + (value - last) * (level - last_middle) / (middle - last_middle)
        before, reached = (value, middle), reached + weight
    return ordered[-1][0]


def _leave_each_source_out(runs: Sequence[BandRunRow], shown: Sequence[BandRunRow]) -> Iterable[HeldOut]:
    """Each run beside the fit to what other sources showed; left out is a run whose kind only its own source has."""
    for source in sorted({run.source for run in runs}):
        rest = [run for run in shown if run.source != source]
        if not rest:
            continue
        known: dict[Kind, Quantiles] = {}
        for run in (run for run in runs if run.source == source):
            chain = _chain(run, kinds_of(run)[-1])
            if not any(chain[0] in kinds_of(other) for other in rest):
                continue
            if chain[-1] not in known:
                known[chain[-1]] = _around_prediction(kind_quantiles(rest, chain), run.device)
            yield HeldOut(run, known[chain[-1]])


def _widening(held_out: Sequence[HeldOut]) -> Widening:
    """The least factors, 1 or more, under which half of what the band does not claim lies beyond each side."""
    if not held_out:
        return 1.0, 1.0
    low, high = (_least(one.widening_needed[side] for one in held_out) for side in (0, 1))
    return low, high


def _least(needed: Iterable[float]) -> float:
    ordered = sorted(needed)
    claimed = ordered[math.ceil((1 + COVERAGE) / 2 * len(ordered)) - 1]
    return max(1.0, math.ceil(1000 * claimed) / 1000)


def _kinds(runs: Sequence[BandRunRow]) -> list[Kind]:
    found = dict.fromkeys(kind for run in runs for kind in kinds_of(run))
    return sorted(found, key=lambda kind: (-kind.count(ANY), kind))


def _band(runs: Sequence[BandRunRow], kind: Kind, widening: Widening) -> FittedBand:
    own = [run for run in runs if kind in kinds_of(run)]
    fitted = _around_prediction(kind_quantiles(runs, _chain(own[0], kind)), own[0].device)
    return FittedBand(kind, widened(fitted, widening), len(own), len({run.source for run in own}))


def _chain(run: BandRunRow, kind: Kind) -> tuple[Kind, ...]:
    """The kinds whose distributions a kind's is drawn towards, and itself; CPU runs are counted exactly: none."""
    kinds = kinds_of(run)
    return (kind,) if run.device == "cpu" else kinds[: kinds.index(kind) + 1]


def _around_prediction(quantiles: Quantiles, device: str) -> Quantiles:
    """The band holds the prediction itself and, of published figures, what their rounding hides."""
    least = ROUNDING if device == "cuda" else 0.0
    return (min(quantiles[0], -least), *quantiles[1:-1], max(quantiles[-1], least))
