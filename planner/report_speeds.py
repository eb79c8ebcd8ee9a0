"""What a person reads of measured speeds: predicted against measured, and how the fit came out. No output."""

from collections.abc import Callable, Sequence
from math import exp

from planner.catalog.rows.throughput import ConstantRow, SpeedBandRow, SpeedFitRow
from planner.evidence.speed_refit import SpeedRefit
from planner.evidence.speed_score import SpeedEvidence
from planner.evidence.summary import Errors, errors_of
from planner.report import Column, Report, Table, Text
from planner.report_evidence import percent

#: By what the errors are told apart.
SPEED_GROUPS: dict[str, Callable[[SpeedEvidence], str]] = {
    "card": lambda one: one.gpu,
    "method": lambda one: one.row.method,
    "devices": lambda one: "one" if one.row.num_gpus == 1 else "several",
    "framework": lambda one: one.row.framework,
    "source": lambda one: one.row.source,
}
_ERROR_COLUMNS = tuple(Column(name, "number") for name in ("runs", "answered", "median", "90th", "bias", "in band"))
_ROW_COLUMNS = (
    Column("error", "number"),
    Column("id"),
    Column("model"),
    Column("method"),
    Column("cards"),
    Column("batch x length"),
    Column("predicted", "number"),
    Column("measured", "number"),
    Column("source", "text"),
)


def speed_report(found: Sequence[SpeedEvidence], groups: Sequence[str], worst: int, fit: SpeedFitRow) -> Report:
    """All measured speeds: errors, groups, the rows furthest off with their links, what is refused."""
    return (
        Text(speed_headline(found)),
        Text(speed_fit_text(fit)),
        *(_group_table(name, found) for name in groups),
        worst_speeds(found, worst),
        _refused(found),
    )


def speed_headline(found: Sequence[SpeedEvidence]) -> str:
    """How far off the step's time is of all that others measured, in two sentences."""
    errors, sources = errors_of("all", found), len({one.row.source for one in found})
    text = (
        f"{errors.figures} training speeds that others measured and published with their whole configuration "
        f"({sources} sources); {errors.answered} answered."
    )
    if errors.median_error is None:
        return text
    return (
        f"{text} Error of the estimates in tokens a second: {percent(errors.median_error)} in the median, "
        f"{percent(errors.p90_error)} at the 90th percentile; {percent(errors.in_band_share)} lie in the band."
    )


def speed_fit_text(fit: SpeedFitRow) -> str:
    """What the fit says of itself."""
    return (
        f"The constants were fitted on {fit.fitted_on} to {fit.runs} of them. Where a run's source was left out of the "
        f"fit, the error is {percent(fit.held_out_median_error)} in the median and {percent(fit.held_out_p90_error)} "
        f"at the 90th percentile. A band fitted without the run's source covers {percent(fit.coverage)}, with a median "
        f"width of {percent(fit.median_width)}."
    )


def _group_table(name: str, found: Sequence[SpeedEvidence]) -> Table:
    groups: dict[str, list[SpeedEvidence]] = {}
    for one in found:
        groups.setdefault(SPEED_GROUPS[name](one), []).append(one)
    rows = [_errors(errors_of(group, groups[group])) for group in sorted(groups, key=lambda g: (-len(groups[g]), g))]
    return Table(f"Errors by {name}", (Column(name), *_ERROR_COLUMNS), tuple(rows))


def _errors(errors: Errors) -> tuple[str, ...]:
    return (
        errors.group,
        str(errors.figures),
        str(errors.answered),
        percent(errors.median_error),
        percent(errors.p90_error),
        percent(errors.bias, signed=True),
        percent(errors.in_band_share),
    )


def worst_first(found: Sequence[SpeedEvidence]) -> list[SpeedEvidence]:
    """The answered ones, furthest off first: a half and a double are equally far."""
    answered = [one for one in found if one.log_ratio is not None]
    return sorted(answered, key=lambda one: -abs(one.log_ratio or 0))


def worst_speeds(found: Sequence[SpeedEvidence], count: int) -> Table:
    """The speeds that are furthest off, with where they stand."""
    rows = tuple(_row(one) for one in worst_first(found)[:count])
    return Table(f"The {len(rows)} speeds furthest off (tokens a second of all cards)", _ROW_COLUMNS, rows)


def _row(one: SpeedEvidence) -> tuple[str, ...]:
    row = one.row
    assert one.time is not None and row.tokens_per_second is not None
    return (
        percent(one.error, signed=True),
        row.id,
        row.model.rpartition("/")[2],
        row.method,
        f"{row.num_gpus} x {one.gpu}",
        f"{row.per_device_train_batch_size} x {row.max_length}",
        f"{one.time.tokens_per_second:,.0f}",
        f"{row.tokens_per_second:,.0f}",
        f"{row.framework} {row.source_url}",
    )


def _refused(found: Sequence[SpeedEvidence]) -> Table:
    refused: dict[str, list[SpeedEvidence]] = {}
    for one in found:
        if one.time is None:
            refused.setdefault(one.refusal, []).append(one)
    rows = [
        (str(len(ones)), reason, ones[0].row.id) for reason, ones in sorted(refused.items(), key=lambda i: -len(i[1]))
    ]
    return Table("Refused", (Column("runs", "number"), Column("refusal", "text"), Column("for instance")), tuple(rows))


def speed_fit_report(found: SpeedRefit, before: Sequence[ConstantRow]) -> Report:
    """The new constants beside the old, the sources left out, the bands."""
    fit, held_out = (
        found.summary,
        [(one.source, str(len(one.log_ratios)), percent(one.median_error)) for one in found.left_out],
    )
    columns = (Column("source left out"), Column("runs", "number"), Column("median error", "number"))
    return (
        Text(
            f"{fit.runs} runs of {fit.sources} sources: error {percent(fit.median_error)} in the median, "
            f"{percent(fit.p90_error)} at the 90th percentile."
        ),
        Text(speed_fit_text(fit)),
        _constants_table(before, found.constants),
        Table("Each source under constants fitted to the others", columns, tuple(held_out)),
        _bands_table(found.bands),
    )


def _constants_table(before: Sequence[ConstantRow], after: Sequence[ConstantRow]) -> Table:
    columns = (
        Column("constant"),
        Column("before", "number"),
        Column("now", "number"),
        Column("unit"),
        Column("basis"),
        Column("meaning", "text"),
    )
    rows = [
        (new.name, f"{old.value:.4g}", f"{new.value:.4g}", new.unit, new.basis, new.meaning)
        for old, new in zip(before, after, strict=True)
    ]
    return Table("Constants", columns, tuple(rows))


def _bands_table(bands: Sequence[SpeedBandRow]) -> Table:
    columns = (Column("devices"), *(Column(n, "number") for n in ("low", "median", "high", "runs", "sources")))
    rows = [
        (
            band.devices,
            *(percent(exp(value) - 1, signed=True) for value in (band.q05, band.q50, band.q95)),
            str(band.runs),
            str(band.sources),
        )
        for band in bands
    ]
    return Table("Bands: measured over predicted seconds, less one", columns, tuple(rows))
