"""What a person reads of the bands' fit. Words and tables, no output."""

from collections.abc import Mapping, Sequence
from math import exp
from statistics import median

from planner.catalog.rows.band import BandFitRow, BandRow
from planner.evidence.fit import Fit, HeldOut, Widening, coverage
from planner.evidence.refit import Asked
from planner.report import Column, Report, Table, Text
from planner.report_evidence import band_text, percent

_BAND_COLUMNS = (
    Column("device"),
    Column("devices"),
    Column("certainty"),
    Column("stack"),
    Column("low", "number"),
    Column("median", "number"),
    Column("high", "number"),
    Column("runs", "number"),
    Column("sources", "number"),
)
_SOURCE_COLUMNS = (
    Column("source left out"),
    Column("runs", "number"),
    Column("in band", "number"),
    Column("width", "number"),
)


def bands_report(summaries: Sequence[BandFitRow], bands: Sequence[BandRow], fits: Mapping[Asked, Fit]) -> Report:
    """How well the fits hold, on which sources, and the bands themselves."""
    cuda = {asked: fitted for (device, asked), fitted in fits.items() if device == "cuda"}
    return (
        *(Text(band_text(summary)) for summary in summaries if summary.device == "cuda"),
        *(source_table(fitted, f"Leave one source out, stack {asked}") for asked, fitted in cuda.items()),
        band_table(bands),
    )


def source_table(fitted: Fit, title: str) -> Table:
    """Each source's runs in the bands of a fit that has not seen them."""
    groups: dict[str, list[HeldOut]] = {}
    for one in fitted.held_out:
        groups.setdefault(one.run.source, []).append(one)
    rows = [_source(source, runs, fitted.widening) for source, runs in groups.items()]
    return Table(title, _SOURCE_COLUMNS, tuple(rows))


def _source(source: str, runs: Sequence[HeldOut], widening: Widening) -> tuple[str, ...]:
    width = median(one.width(widening) for one in runs)
    return source, str(len(runs)), percent(coverage(runs, widening)), percent(width)


def band_table(bands: Sequence[BandRow]) -> Table:
    """Each kind's band as measured over predicted, less one."""
    rows = [
        (
            band.device,
            band.devices,
            band.certainty,
            band.stack,
            *(percent(exp(log_ratio) - 1, signed=True) for log_ratio in (band.q05, band.q50, band.q95)),
            str(band.runs),
            str(band.sources),
        )
        for band in bands
    ]
    return Table("Bands: measured over predicted, less one", _BAND_COLUMNS, tuple(rows))
