"""A new fit of the bands to the measurements as the planner answers them today."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby

from planner import __version__
from planner.catalog.rows.band import UNNAMED, BandFitRow, BandRow, BandRunRow
from planner.evidence.fit import Fit, Quantiles, coverage, fit

#: A device, and whether requests name their stack: "named", "unnamed" or "any".
Asked = tuple[str, str]

#: Digits of a kept quantile.
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Refit:
    """What is kept in data/bands/, and the fits behind it, by device and by how runs were asked."""

    bands: tuple[BandRow, ...]
    runs: tuple[BandRunRow, ...]
    summaries: tuple[BandFitRow, ...]
    fits: dict[Asked, Fit]


def refit(runs: Sequence[BandRunRow], today: date) -> Refit:
    """Fit each device's runs, and apart from each other those that name their stack and those that do not.

    Runs of one fit must stand together.
    """
    groups = {asked: list(group) for asked, group in groupby(runs, key=_asked)}
    fits = {asked: fit(group) for asked, group in groups.items()}
    bands = [row for (device, _), fitted in fits.items() for row in _band_rows(device, fitted)]
    summaries = [_summary(asked, fits[asked], group, today) for asked, group in groups.items()]
    return Refit(tuple(bands), tuple(runs), tuple(summaries), fits)


def _asked(run: BandRunRow) -> Asked:
    if run.device == "cpu":
        return run.device, "any"
    return run.device, "unnamed" if run.stack == UNNAMED else "named"


def _band_rows(device: str, fitted: Fit) -> list[BandRow]:
    rows = []
    for band in fitted.bands:
        named = dict(zip(("devices", "certainty", "stack"), band.kind, strict=True))
        kept = dict(zip(("q05", "q25", "q50", "q75", "q95"), _rounded_outwards(band.quantiles), strict=True))
        rows.append(
            BandRow.model_validate({"device": device, "runs": band.runs, "sources": band.sources} | named | kept)
        )
    return rows


def _rounded_outwards(quantiles: Quantiles) -> list[float]:
    low, *inner, high = (value * 10**_DIGITS for value in quantiles)
    return [value / 10**_DIGITS for value in (math.floor(low), *map(round, inner), math.ceil(high))]


def _summary(asked: Asked, fitted: Fit, runs: Sequence[BandRunRow], today: date) -> BandFitRow:
    shown_by_device = [one for one in fitted.held_out if one.run.level == "device"]
    figures = {
        "coverage": fitted.coverage,
        "coverage_device": coverage(shown_by_device, fitted.widening),
        "median_width": fitted.median_width,
    }
    return BandFitRow.model_validate(
        {
            "device": asked[0],
            "asked": asked[1],
            "fitted_on": today,
            "tool_version": __version__,
            "runs": len(runs),
            "sources": len({run.source for run in runs}),
            "widening_low": fitted.widening[0],
            "widening_high": fitted.widening[1],
        }
        | {name: None if value is None else round(value, 4) for name, value in figures.items()}
    )
