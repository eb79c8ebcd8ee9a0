"""The evidence's tables: pure functions from figures to DataFrames."""

from collections.abc import Mapping, Sequence

import pandas as pd

from planner.catalog.rows.measurement import ExplanationRow
from planner.evidence.score import Evidence
from planner.evidence.summary import GroupName, Reliability, errors_by, worst_first
from planner.report_evidence import explanation
from planner.units import gib

Explanations = Mapping[str, ExplanationRow]

FIGURE_COLUMNS = (
    "error",
    "id",
    "link",
    "model",
    "method",
    "estimated GiB",
    "measured GiB",
    "explanation",
    "metric",
    "GPUs",
    "inside its band",
    "framework",
    "what the source says",
    "configuration",
)


def group_frame(name: GroupName, found: Sequence[Evidence]) -> pd.DataFrame:
    """Errors of each group, the largest first."""
    rows = [
        (e.group, e.figures, e.answered, e.median_error, e.p90_error, e.bias, e.under_share, e.in_band_share)
        for e in errors_by(name, found)
    ]
    columns = [name, "figures", "answered", "median error", "90th percentile", "bias", "under by 5%", "in band"]
    return pd.DataFrame(rows, columns=columns)


def figure_frame(found: Sequence[Evidence], known: Explanations) -> pd.DataFrame:
    """Every answered figure, the furthest off first."""
    rows = [_figure(one, known) for one in worst_first(found) if one.error is not None]
    return pd.DataFrame(rows, columns=list(FIGURE_COLUMNS))


def _figure(one: Evidence, known: Explanations) -> tuple[object, ...]:
    return (
        one.error,
        one.id,
        one.source_url or None,
        one.model,
        one.method,
        gib(one.predicted_bytes or 0),
        gib(one.measured_bytes),
        explanation(one, known),
        one.metric,
        one.num_gpus,
        one.in_band,
        one.framework,
        one.quote,
        "fully stated" if one.full else "partly stated",
    )


def ran_out_frame(found: Sequence[Evidence]) -> pd.DataFrame:
    """Configurations that ran out of memory, and the verdict on the card that they ran out on."""
    rows = [
        (
            one.verdict or ("refused" if not one.answered else "card not known"),
            one.oom_probability,
            one.id,
            one.model,
            one.method,
            one.num_gpus,
            None if one.predicted_bytes is None else gib(one.predicted_bytes),
            gib(one.measured_bytes),
            one.refusal,
            one.source_url,
        )
        for one in found
        if one.ran_out
    ]
    names = ("verdict", "chance", "id", "model", "method", "GPUs", "estimated GiB", "card GiB", "refusal", "link")
    return pd.DataFrame(rows, columns=list(names))


def refused_frame(found: Sequence[Evidence]) -> pd.DataFrame:
    """Every figure that is not answered, with the refusal."""
    rows = [
        (one.refusal, one.id, one.model, one.method, one.metric, gib(one.measured_bytes), one.source_url)
        for one in found
        if not one.answered
    ]
    columns = ["refusal", "id", "model", "method", "metric", "measured GiB", "link"]
    return pd.DataFrame(rows, columns=columns).sort_values(["refusal", "id"], ignore_index=True)


def reliability_frame(table: Sequence[Reliability]) -> pd.DataFrame:
    """Chances given, and how often it came so."""
    rows = [
        (f"{row.low:.0%} to {row.high:.0%}", row.runs, row.mean_chance, row.ran_out, row.ran_out / row.runs)
        for row in table
        if row.runs
    ]
    return pd.DataFrame(rows, columns=["chance given", "runs", "mean chance", "ran out", "share"])
