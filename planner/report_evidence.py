"""What a person reads of the evidence: predicted against measured, in words and tables; no output."""

from collections.abc import Mapping, Sequence

from planner.catalog.bands import list_band_runs
from planner.catalog.rows.band import UNNAMED, BandFitRow
from planner.catalog.rows.measurement import ExplanationRow
from planner.evidence.band_runs import beyond_requests
from planner.evidence.score import Evidence
from planner.evidence.summary import (
    Errors,
    GroupName,
    Reliability,
    Verdicts,
    errors_by,
    errors_of,
    one_a_run,
    reliability_of,
    verdicts_of,
    worst_first,
)
from planner.report import Column, Report, Table, Text
from planner.units import gib

Explanations = Mapping[str, ExplanationRow]

_ERROR_COLUMNS = (
    Column("figures", "number"),
    Column("answered", "number"),
    Column("median", "number"),
    Column("90th", "number"),
    Column("bias", "number"),
    Column("under by 5%", "number"),
    Column("in band", "number"),
)
_ROW_COLUMNS = (
    Column("error", "number"),
    Column("id"),
    Column("model"),
    Column("method"),
    Column("GPUs", "number"),
    Column("metric"),
    Column("predicted", "number"),
    Column("measured", "number"),
    Column("explanation", "text"),
)


def evidence_report(
    published: Sequence[Evidence],
    own: Sequence[Evidence],
    groups: Sequence[GroupName],
    worst: int,
    known: Explanations,
    fit: BandFitRow | None,
) -> Report:
    """The whole: all figures, groups, verdicts, chances, the worst rows and what is refused."""
    full = [one for one in published if one.full]
    return (
        Text(headline(published)),
        Text(own_text(own), "note"),
        *(group_table(name, full) for name in groups),
        *_verdict_blocks(full, fit),
        worst_table(full, worst, known),
        refused_table(published),
    )


def headline(published: Sequence[Evidence]) -> str:
    """How far off the planner is of all that others measured, in two sentences."""
    full = [one for one in published if one.full]
    errors = errors_of("all", full)
    sources = len({one.source for one in published})
    text = (
        f"{errors.figures:,} figures of memory that others measured and published with their whole configuration "
        f"({sources} sources); {errors.answered:,} answered."
    )
    if errors.median_error is None:
        return text
    return (
        f"{text} Error of the estimates: {percent(errors.median_error)} in the median, {percent(errors.p90_error)} at "
        f"the 90th percentile; {percent(errors.under_share)} are under-estimated by more than 5%; "
        f"{percent(errors.in_band_share)} lie in the band."
    )


def own_text(own: Sequence[Evidence]) -> str:
    """The same of the runs that this project measured itself."""
    errors = errors_of("own", own)
    if errors.median_error is None or errors.p90_error is None:
        return "None of our own CPU runs is answered."
    worst = max(abs(one.error) for one in own if one.error is not None)
    return (
        f"Our own training runs on a CPU, every storage followed: {errors.answered} of {errors.figures} answered, peak "
        f"off by {errors.median_error:.3%} in the median, {worst:.3%} at worst."
    )


def percent(share: float | None, signed: bool = False) -> str:
    """A share in percent with one digit; blank where there is none."""
    return "" if share is None else f"{share:+.1%}" if signed else f"{share:.1%}"


def group_table(name: GroupName, found: Sequence[Evidence]) -> Table:
    """Errors by group."""
    return Table(f"Errors by {name}", (Column(name), *_ERROR_COLUMNS), tuple(map(_errors, errors_by(name, found))))


def _errors(errors: Errors) -> tuple[str, ...]:
    return (
        errors.group,
        f"{errors.figures:,}",
        f"{errors.answered:,}",
        percent(errors.median_error),
        percent(errors.p90_error),
        percent(errors.bias, signed=True),
        percent(errors.under_share),
        percent(errors.in_band_share),
    )


def _verdict_blocks(full: Sequence[Evidence], fit: BandFitRow | None) -> Report:
    table = Table(
        "Chance to run out of memory, given and seen",
        tuple(Column(heading, "number") for heading in ("given", "runs", "mean", "ran out")),
        tuple(map(_reliability, reliability_of(full))),
    )
    return (*([Text(band_text(fit))] if fit else []), Text(verdict_text(verdicts_of(full))), table)


def band_text(fit: BandFitRow) -> str:
    """What the band's fit says of itself."""
    if fit.coverage is None:
        return f"The band was fitted on {fit.fitted_on} to {fit.runs} runs of one source."
    which = {"named": " of requests that name their stack", "unnamed": " of requests that name no stack"}
    return (
        f"The 90% band{which.get(fit.asked, '')} was fitted on {fit.fitted_on} to {fit.runs} figures of {fit.sources} "
        f"sources. A fit without the run's source covers {percent(fit.coverage)} of them "
        f"({percent(fit.coverage_device)} of reserved memory and nvidia-smi), with a median width of "
        f"{percent(fit.median_width)}.{_left_out() if fit.asked == 'named' else ''}"
    )


def _left_out() -> str:
    beyond = beyond_requests()
    figures = sum(run.id in beyond for run in list_band_runs() if run.stack == UNNAMED)
    return f" Left out are {figures} figures of runs that did, or that count, what no request says." if figures else ""


def verdict_text(verdicts: Verdicts) -> str:
    """False alarms, and what was caught."""
    ran, out = sum(verdicts.ran.values()), sum(verdicts.ran_out.values())
    return (
        f"Of {ran} runs that ran on a known card, {verdicts.ran.get('does not fit', 0)} "
        f"({percent(verdicts.false_alarm_share)}) are called does not fit; of {out} that ran out of memory, "
        f"{percent(verdicts.caught_share)} are called does not fit or tight."
    )


def _reliability(row: Reliability) -> tuple[str, ...]:
    seen = f"{row.ran_out} ({percent(row.ran_out / row.runs)})" if row.runs else ""
    return f"{row.low:.0%} to {row.high:.0%}", str(row.runs), percent(row.mean_chance), seen


def worst_table(found: Sequence[Evidence], count: int, known: Explanations) -> Table:
    """The figures that are furthest off, with their explanation and where they stand."""
    rows = [one for one in worst_first(found) if one.error is not None][:count]
    title = f"The {len(rows)} figures furthest off (GiB); --json has all, with their links"
    return Table(title, _ROW_COLUMNS, tuple(_row(one, known) for one in rows))


def _row(one: Evidence, known: Explanations) -> tuple[str, ...]:
    return (
        percent(one.error, signed=True),
        one.id,
        one.model.rpartition("/")[2],
        one.method,
        str(one.num_gpus),
        one.metric,
        f"{gib(one.predicted_bytes or 0):.2f}",
        f"{gib(one.measured_bytes):.2f}",
        f"{explanation(one, known)} {one.source_url}",
    )


def explanation(one: Evidence, known: Explanations) -> str:
    """Why a figure stays off, as far as it is known."""
    return known[one.id].explanation if one.id in known else "Not explained yet."


def refused_table(found: Sequence[Evidence]) -> Table:
    """What is not answered, by the refusal."""
    refused: dict[str, list[Evidence]] = {}
    for one in one_a_run(found):
        if not one.answered:
            refused.setdefault(one.refusal, []).append(one)
    rows = [
        (str(len(runs)), ", ".join(sorted({one.method for one in runs})), reason, runs[0].id)
        for reason, runs in sorted(refused.items(), key=lambda item: -len(item[1]))
    ]
    columns = (Column("runs", "number"), Column("methods"), Column("refusal", "text"), Column("for instance"))
    return Table("Refused", columns, tuple(rows))
