"""The Evidence page's part on speed: published tokens a second beside the planner's."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from planner.catalog.throughput import speed_fit
from planner.evidence.speed_score import SpeedEvidence, score_speeds
from planner.evidence.summary import errors_of
from planner.report_speeds import SPEED_GROUPS, speed_fit_text, speed_headline, worst_first
from ui.widgets import one_of

_SHARES = ("error", "median error", "90th percentile", "bias", "in band")


@st.cache_resource(show_spinner="Asking for each published speed what the planner says of it")
def scored() -> tuple[SpeedEvidence, ...]:
    """Every fully stated speed beside what the planner says of it."""
    return tuple(score_speeds())


def speeds(found: Sequence[SpeedEvidence]) -> None:
    """How far off steps are timed: in words, by what the reader chooses, and row by row with links."""
    st.subheader("Speed", anchor=False)
    st.markdown(f"{speed_headline(found)} {speed_fit_text(speed_fit())}")
    name = one_of("evidence_speed_by", "Speeds by", list(SPEED_GROUPS), "card", hidden=True)
    _table(group_frame(name, found), f"Errors of tokens a second by {name}")
    with st.expander("Every answered speed, the furthest off first"):
        _table(speed_frame(found), "Every answered speed, the furthest off first")
    refused = sum(one.time is None for one in found)
    st.caption(f"{refused} of these rows are not answered: what a request cannot say, mostly other methods of PEFT.")


def _table(frame: pd.DataFrame, alt: str) -> None:
    columns = {name: st.column_config.NumberColumn(format="percent") for name in _SHARES}
    link = {"link": st.column_config.LinkColumn(display_text="source")}
    st.dataframe(frame, column_config=columns | link, hide_index=True, alt=alt)


def group_frame(name: str, found: Sequence[SpeedEvidence]) -> pd.DataFrame:
    """Errors of each group, the largest first."""
    groups: dict[str, list[SpeedEvidence]] = {}
    for one in found:
        groups.setdefault(SPEED_GROUPS[name](one), []).append(one)
    errors = [errors_of(group, groups[group]) for group in sorted(groups, key=lambda g: (-len(groups[g]), g))]
    rows = [
        (e.group, e.figures, e.answered, e.median_error, e.p90_error, e.bias, e.in_band_share)
        for e in errors
        if e.answered
    ]
    columns = [name, "runs", "answered", "median error", "90th percentile", "bias", "in band"]
    return pd.DataFrame(rows, columns=columns)


def speed_frame(found: Sequence[SpeedEvidence]) -> pd.DataFrame:
    """Every answered speed, the furthest off first."""
    rows = [_row(one) for one in worst_first(found)]
    names = "error run link model method cards batch length estimated measured inside framework".split()
    return pd.DataFrame(rows, columns=names).rename(
        columns={"estimated": "estimated tokens/s", "measured": "measured tokens/s", "inside": "inside its band"}
    )


def _row(one: SpeedEvidence) -> tuple[object, ...]:
    row = one.row
    assert one.time is not None and row.tokens_per_second is not None
    return (
        one.error,
        row.id,
        row.source_url,
        row.model,
        row.method,
        f"{row.num_gpus} x {one.gpu}",
        row.per_device_train_batch_size,
        row.max_length,
        round(one.time.tokens_per_second),
        round(row.tokens_per_second),
        one.in_band,
        row.framework,
    )
