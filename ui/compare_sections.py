"""The parts of the Compare page."""

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from planner.answer import Plan
from planner.schema import METHODS, STACKS
from ui import charts, compare_charts, state
from ui.answers import gpu_keys
from ui.compare import BY, MAX_VARIANTS, By, Variant, headline
from ui.inputs import ask_about
from ui.ledger import gib_columns
from ui.saved import MAX_NAME, saved_questions
from ui.widgets import URL, one_of
from ui.wording import on_page

#: Cards to begin with, beside the one asked about: one of each size that people rent.
_FIRST_GPUS = ("rtx-4090", "l40s", "a100-80gb-sxm", "h100-sxm", "h200-sxm")

Named = Sequence[tuple[str, Plan]]


def what_to_compare() -> By:
    """Which of the inputs is changed."""
    by: Any = one_of("by", "What differs", BY, BY[0], "The input that is changed; or questions saved in the sidebar.")
    return by


def chosen(by: By, values: state.Values) -> list[str]:
    """The values that the input takes, or the saved questions."""
    if by == "methods":
        return _several("methods", "Methods", METHODS, METHODS)
    if by == "GPUs":
        known = gpu_keys()
        first = dict.fromkeys([str(values["gpu"]), *(gpu for gpu in _FIRST_GPUS if gpu in known)])
        return _several("gpus", "GPUs", list(dict.fromkeys([*first, *known])), list(first), typed=True)
    if by == "stacks":
        return _several("stacks", "Stacks", (state.NO_STACK, *STACKS), ("transformers", "trl", "unsloth"), typed=True)
    kept = list(saved_questions())
    if not kept:
        st.info(
            "No question is saved yet: save some under Saved questions, in the sidebar.", icon=":material/bookmark:"
        )
        return []
    return st.multiselect("Saved questions", kept, default=kept[:MAX_VARIANTS], max_selections=MAX_VARIANTS)


def _several(key: str, label: str, options: Sequence[str], first: Sequence[str], *, typed: bool = False) -> list[str]:
    return st.multiselect(
        label,
        options,
        default=list(first),
        key=key,
        max_selections=MAX_VARIANTS,
        accept_new_options=typed,
        help=f"Up to {MAX_VARIANTS}; everything else is as the sidebar says.",
        **URL,
    )


def refusals(found: Sequence[Variant]) -> None:
    """What has no answer, each in one line."""
    for variant in found:
        if variant.error:
            name = variant.name if len(variant.name) <= MAX_NAME else f"{variant.name[:MAX_NAME]}..."
            st.warning(f"{name}: {on_page(variant.error)}", icon=":material/report:")


def answer(found: Named, by: By) -> None:
    """The comparison in a sentence, the picture, and the table of differences."""
    from ui import compare_tables

    st.subheader(headline(found), anchor=False)
    st.caption(
        "Estimated: what is on the card at the peak of a step, with the 90% band on the whole; the tick is what the "
        "card offers."
    )
    st.plotly_chart(
        compare_charts.compare_figure(found), key="compare", config=charts.CONFIG, alt=compare_charts.compare_alt(found)
    )
    st.subheader("Differences", anchor=False)
    st.caption(f"GiB, estimated; {found[0][0]} is the first, to which the others are held.")
    frame = compare_tables.compare_frame(found)
    st.dataframe(
        frame,
        hide_index=True,
        column_config=_columns(),
        alt=f"The {by} side by side: verdict, need, band, and the difference to the first",
    )
    with st.expander("The picture as a table", icon=":material/table:"):
        parts = compare_tables.parts_frame(found)
        st.dataframe(
            parts, hide_index=True, column_config=gib_columns([name for name, _ in found]), alt="GiB by part, estimated"
        )


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    sizes = ("needs", "from", "to", "card offers", "left over", "saved")
    return {name: number(format="%.1f") for name in sizes} | {
        "question": st.column_config.TextColumn(pinned=True),
        "to the first": number(format="%+.1f"),
        "to the first, share": number(format="percent"),
        "trained parameters": number(format="compact"),
        "step in s": number(format="%.3g"),
        "tokens a second": number(format="localized"),
        "hours": number(format="%.3g"),
        "USD": number(format="accounting"),
        "USD a million tokens": number(format="%.3f"),
    }


def open_in_fit(found: Sequence[Variant]) -> None:
    """Each question with its derivation, on the Fit page."""
    st.subheader("Open one", anchor=False)
    st.caption("Its answer, its ledger and what to change, on the Fit page.")
    with st.container(horizontal=True):
        for number, variant in enumerate(found):
            if st.button(variant.name, key=f"fit_{number}", icon=":material/open_in_full:"):
                ask_about("compare", variant.values)


def take_away(found: Sequence[Variant]) -> None:
    """The table and the answers as files."""
    from ui import compare_tables

    named = [(v.name, v.plan) for v in found if v.plan is not None]
    answers = {v.name: v.plan.model_dump(mode="json") for v in found if v.plan is not None}
    with st.container(horizontal=True):
        for label, name, mime, content in (
            ("Table as CSV", "compare.csv", "text/csv", compare_tables.compare_frame(named).to_csv(index=False)),
            ("Answers as JSON", "compare.json", "application/json", json.dumps(answers, indent=2)),
        ):
            st.download_button(label, content, name, mime, on_click="ignore", icon=":material/download:", key=name)
