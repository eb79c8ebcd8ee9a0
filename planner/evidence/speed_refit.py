"""A new fit of the constants and the bands of a step's time to the published speeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from planner import __version__
from planner.catalog.rows.band import UNNAMED, BandRunRow
from planner.catalog.rows.throughput import ConstantRow, SpeedBandRow, SpeedFitRow, SpeedRunRow
from planner.evidence.fit import ANY, Fit, fit
from planner.evidence.speed_fit import Case, LeftOut, cases_of, fit_constants, leave_each_source_out
from planner.evidence.summary import ninetieth
from planner.schema import LORA_METHODS
from planner.throughput.constants import Constants

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class SpeedRefit:
    """What is kept in data/throughput/."""

    constants: tuple[ConstantRow, ...]
    bands: tuple[SpeedBandRow, ...]
    runs: tuple[SpeedRunRow, ...]
    summary: SpeedFitRow
    left_out: tuple[LeftOut, ...]


def refit_speeds(cases: Sequence[Case], named: Sequence[Case], rows: Sequence[ConstantRow], today: date) -> SpeedRefit:
    """Fit the constants from where they stand, the bands around them, and each source under the others' constants.

    named: the same runs asked with their stack's name, where one of ours does the same. The bands are those of
    requests that name none and leave adapters open.
    """
    found = fit_constants([*cases, *named], Constants(**{row.name: row.value for row in rows}), rows)
    kept = [_rounded(row, getattr(found, row.name), today) for row in rows]
    in_force = Constants(**{row.name: row.value for row in kept})
    left_out = leave_each_source_out(cases, named, in_force, rows)
    held_out = {name: value for one in left_out for name, value in one.log_ratios.items()}
    runs = [_run(case, case.log_error(in_force), held_out[case.row.id], "stated") for case in cases]
    shifts = {run.id: run.held_out_log_ratio - run.log_ratio for run in runs}
    for case in left_open(cases):
        log_ratio = case.log_error(in_force)
        runs.append(_run(case, log_ratio, log_ratio + shifts[case.row.id], "open"))
    fitted = fit([_as_band_run(run) for run in as_people_ask(runs)])
    told_apart = [band for band in fitted.bands if band.kind[1] == ANY]  # one device from several, and no more
    bands = [_band(band.kind[0], band.quantiles, band.runs, band.sources) for band in told_apart]
    return SpeedRefit(tuple(kept), tuple(bands), tuple(runs), _summary(runs, bands, fitted, today), tuple(left_out))


def _rounded(row: ConstantRow, value: float, today: date) -> ConstantRow:
    if row.basis != "fitted":
        return row
    return row.model_copy(update={"value": float(f"{value:.{_DIGITS}g}"), "as_of": today})


def left_open(cases: Sequence[Case]) -> list[Case]:
    """The runs with adapters whose source states them, asked without: a request's defaults stand in their place."""
    stated = [case.row for case in cases if case.row.method in LORA_METHODS and case.row.lora_r is not None]
    return cases_of(row.model_copy(update={"lora_r": None, "lora_targets": ""}) for row in stated)


def as_people_ask(runs: Sequence[SpeedRunRow]) -> list[SpeedRunRow]:
    """Each run once: with its adapters left open where it has any."""
    opened = {run.id for run in runs if run.asked == "open"}
    return [run for run in runs if run.asked == "open" or run.id not in opened]


def _run(case: Case, log_ratio: float, held_out: float, asked: str) -> SpeedRunRow:
    devices = "one" if case.row.num_gpus == 1 else "several"
    values = {"log_ratio": round(log_ratio, _DIGITS), "held_out_log_ratio": round(held_out, _DIGITS)}
    return SpeedRunRow.model_validate(
        {"id": case.row.id, "source": case.row.source, "asked": asked, "devices": devices} | values
    )


def _as_band_run(run: SpeedRunRow) -> BandRunRow:
    """The same for the fit of bands, which tells one device from several.

    Its error is that under constants fitted without its source: a reader's run is of no source that they have seen.
    """
    return BandRunRow(
        id=run.id,
        source=run.source,
        device="cuda",
        devices=run.devices,
        certainty="modelled",
        stack=UNNAMED,
        level="device",
        log_ratio=run.held_out_log_ratio,
    )


def _band(devices: str, quantiles: tuple[float, ...], runs: int, sources: int) -> SpeedBandRow:
    named = zip(("q05", "q25", "q50", "q75", "q95"), (round(value, _DIGITS) for value in quantiles), strict=True)
    return SpeedBandRow.model_validate({"devices": devices, "runs": runs, "sources": sources} | dict(named))


def _summary(runs: Sequence[SpeedRunRow], bands: Sequence[SpeedBandRow], fitted: Fit, today: date) -> SpeedFitRow:
    by_devices = {band.devices: band for band in bands}
    asked = as_people_ask(runs)
    inside = [by_devices[r.devices].q05 <= r.held_out_log_ratio <= by_devices[r.devices].q95 for r in asked]
    stated = [run for run in runs if run.asked == "stated"]
    errors, held_out = (_sizes(values) for values in _columns(stated))
    assert fitted.coverage is not None and fitted.median_width is not None
    figures = {
        "median_error": median(errors),
        "p90_error": ninetieth(errors),
        "held_out_median_error": median(held_out),
        "held_out_p90_error": ninetieth(held_out),
        "widening_low": fitted.widening[0],
        "widening_high": fitted.widening[1],
        "coverage": fitted.coverage,
        "held_out_coverage": sum(inside) / len(inside),
        "median_width": fitted.median_width,
    }
    counts = {"runs": len(stated), "sources": len({run.source for run in runs})}
    rounded = {name: round(value, _DIGITS) for name, value in figures.items()}
    return SpeedFitRow.model_validate({"fitted_on": today, "tool_version": __version__} | counts | rounded)


def _columns(runs: Sequence[SpeedRunRow]) -> tuple[list[float], list[float]]:
    return [run.log_ratio for run in runs], [run.held_out_log_ratio for run in runs]


def _sizes(log_ratios: Sequence[float]) -> list[float]:
    """|predicted / measured - 1| of tokens a second, in order."""
    return sorted(abs(math.exp(value) - 1) for value in log_ratios)
