"""The parts of the Evidence page, in the order in which a reader needs them."""

from collections.abc import Sequence
from typing import Any, get_args

import streamlit as st

from planner.catalog.measurements import explanations
from planner.evidence.score import Evidence
from planner.evidence.summary import GroupName, errors_of, reliability_of, verdicts_of
from planner.report_evidence import band_text, own_text, percent, verdict_text
from ui import evidence, evidence_charts, evidence_tables
from ui.widgets import URL, one_of

_CHART_CONFIG = {"displayModeBar": False}
_ANY = "all"
#: What the figures can be narrowed to: property, label.
FILTERS = {"stack": "Stack", "method": "Method", "metric": "Metric", "model": "Model"}


def narrowed(published: Sequence[Evidence]) -> list[Evidence]:
    """Draw the filters; the figures that they leave."""
    with st.sidebar:
        chosen = {name: _filter(published, name, label) for name, label in FILTERS.items()}
        partly = st.toggle(
            "Partly stated runs too",
            key="evidence_partly",
            help="Runs whose source leaves out an input that matters: their errors say less about the planner.",
            **URL,
        )
    return [
        one
        for one in published
        if (partly or one.full) and all(value in (_ANY, None, getattr(one, name)) for name, value in chosen.items())
    ]


def _filter(published: Sequence[Evidence], name: str, label: str) -> str | None:
    options = [_ANY, *evidence.choices(published, name)]
    hint = f"Figures of one {label.lower()} alone, as its source names it."
    chosen: str | None = st.selectbox(label, options, key=f"evidence_{name}", help=hint, **URL)
    return chosen


def headline(found: Sequence[Evidence]) -> None:
    """Five figures: how many are answered, how far off, and on which side."""
    errors = errors_of("all", found)
    with st.grid(5, min_column_width=140):
        st.metric(
            "Answered",
            f"{errors.answered:,}",
            f"of {errors.figures:,}",
            delta_color="off",
            delta_arrow="off",
            help="Figures of memory; the refused stand below.",
            border=True,
            height="stretch",
        )
        _metric("Median error", percent(errors.median_error), "Of the estimates' size against the measured one.")
        _metric("90th percentile", percent(errors.p90_error), "Nine of ten errors are smaller.")
        _metric("Under by 5%", percent(errors.under_share), "An under-estimate is somebody's out-of-memory.")
        _metric("In the 90% band", percent(errors.in_band_share), "The band of each figure's own answer.")


def _metric(label: str, value: str, explained: str) -> None:
    st.metric(label, value or "none", help=explained, border=True, height="stretch")


def scatter(found: Sequence[Evidence]) -> None:
    """Estimated against measured."""
    st.subheader("Estimated against measured", anchor=False)
    st.caption(
        "One mark a figure: right of the dashed line the estimate is too high, left of it too low. The strip is the "
        "usual 90% band; a cross lies outside the band of its own answer."
    )
    figure = evidence_charts.scatter_figure(found, evidence.usual_band(found))
    st.plotly_chart(figure, key="scatter", config=_CHART_CONFIG, alt=evidence_charts.scatter_alt(found))
    fit = evidence.cuda_fit()
    if fit is not None:
        st.caption(band_text(fit))


def groups(found: Sequence[Evidence]) -> None:
    """Errors by what the reader chooses."""
    st.subheader("Errors by group", anchor=False)
    name: Any = one_of("evidence_by", "By", get_args(GroupName), "stack", hidden=True)
    _table(evidence_tables.group_frame(name, found), f"Errors by {name}")


def verdicts(found: Sequence[Evidence]) -> None:
    """Verdicts against what ran and what ran out, and chances against what came."""
    st.subheader("Verdicts and chances", anchor=False)
    st.markdown(verdict_text(verdicts_of(found)))
    table = evidence_tables.reliability_frame(reliability_of(found))
    _table(table, "Chances of running out of memory that were given, and how many runs did")
    out = evidence_tables.ran_out_frame(found)
    if len(out):
        with st.expander(f"{len(out)} configurations that ran out of memory"):
            _table(out, "Configurations that ran out of memory, with the verdict on their card")


def worst(found: Sequence[Evidence]) -> None:
    """Every answered figure, the furthest off first, with its explanation and link."""
    st.subheader("The furthest off first", anchor=False)
    st.caption("Nothing is left out because it looks bad. A figure without an explanation is an open question.")
    _table(evidence_tables.figure_frame(found, explanations()), "Every answered figure, the furthest off first")


def refused(found: Sequence[Evidence]) -> None:
    """What the planner does not answer."""
    frame = evidence_tables.refused_frame(found)
    st.subheader("Refused", anchor=False)
    if not len(frame):
        st.markdown("Nothing that is shown is refused.")
        return
    st.caption(f"{len(frame)} figures are not answered: a refusal is better than a guess.")
    _table(frame, "Figures that are not answered, with the refusal")


def own(found: Sequence[Evidence]) -> None:
    """Our own measured runs."""
    st.subheader("Our own measured runs", anchor=False)
    st.markdown(own_text(found))
    with st.expander("Each of them"):
        _table(evidence_tables.figure_frame(found, {}).drop(columns=["explanation", "link"]), "Our own measured runs")


def _table(frame: Any, alt: str) -> None:
    st.dataframe(frame, column_config=_columns(), hide_index=True, alt=alt)


def _columns() -> dict[str, Any]:
    shares = (
        "error",
        "median error",
        "90th percentile",
        "bias",
        "under by 5%",
        "in band",
        "chance",
        "mean chance",
        "share",
    )
    sizes = ("estimated GiB", "measured GiB", "card GiB")
    return (
        {name: st.column_config.NumberColumn(format="percent") for name in shares}
        | {name: st.column_config.NumberColumn(format="%.2f") for name in sizes}
        | {"link": st.column_config.LinkColumn(display_text="source")}
    )
