"""Every byte of the answer, opened: the bar of the parts and the ledger's rows lead to formula, values and source.

pyarrow comes with the tables, which stand below the answer: it is imported there, so that a cold start answers sooner.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from planner.answer import CATEGORIES, Category, Plan, Term
from planner.report import CATEGORY_NAMES
from planner.units import format_gib
from ui import charts, text

#: Terms derived below a chosen part of the bar; the ledger has the rest.
_MOST_DERIVED = 3


@st.fragment
def breakdown(plan: Plan) -> None:
    """The bar of the parts against the card's line; a chosen part is derived below."""
    st.subheader("Where the memory goes", anchor=False)
    st.caption(
        f"What is on the card at the peak of a step (estimated), with the 90% band on the whole{_paged(plan)}. "
        "Click a part to open it."
    )
    event = st.plotly_chart(
        charts.breakdown_figure(plan),
        key="breakdown",
        config=charts.CONFIG,
        alt=text.breakdown_alt(plan),
        on_select="rerun",
        selection_mode="points",
    )
    for point in event.selection.points[:1]:
        if point["curve_number"] < len(CATEGORIES):
            _part(plan, CATEGORIES[point["curve_number"]])
        elif point["curve_number"] == len(CATEGORIES):
            _box(text.slack_title(plan), text.slack_derivation(plan), text.SLACK_SOURCE)


def _paged(plan: Plan) -> str:
    """What of the bar is not held against the card."""
    return f"; {format_gib(plan.paged_bytes)} of its optimizer states can leave the card" if plan.paged_bytes else ""


def _part(plan: Plan, category: Category) -> None:
    """The largest terms of a part, derived, and how many there are besides."""
    terms = sorted((term for term in plan.terms if term.category == category), key=lambda term: -term.bytes)
    shown, rest = terms[:_MOST_DERIVED], terms[_MOST_DERIVED:]
    for term in shown:
        derivation(term)
    if rest:
        more = format_gib(sum(term.bytes for term in rest), 2)
        st.caption(f"{len(rest)} smaller terms of {CATEGORY_NAMES[category]}, {more} together, stand in the ledger.")


@st.fragment
def ledger(plan: Plan) -> None:
    """Every term live at the peak; a chosen row is derived below."""
    from ui import tables

    st.subheader("The ledger", anchor=False)
    st.caption(
        f"{len(plan.terms)} terms are live at the peak; they sum to {format_gib(plan.peak_bytes + plan.runtime_bytes)} "
        "(estimated). Choose a row to see its derivation."
    )
    event = st.dataframe(
        tables.ledger_table(plan),
        key="ledger",
        column_config=_ledger_columns(),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        alt="The ledger: every term live at the peak with bytes, formula, values, source and certainty",
    )
    for row in event.selection.rows:
        if row < len(plan.terms):
            derivation(plan.terms[row])


def gib_columns(names: Sequence[str] = (*CATEGORY_NAMES.values(), "total", "GiB")) -> dict[str, Any]:
    """How columns of bytes, GiB and shares are written."""
    gib_column = st.column_config.NumberColumn(format="%.3f")
    return {name: gib_column for name in names} | {
        "share": st.column_config.NumberColumn(format="percent"),
        "bytes": st.column_config.NumberColumn(format="localized"),
    }


def _ledger_columns() -> dict[str, Any]:
    return gib_columns() | {
        "name": st.column_config.TextColumn(pinned=True, width="medium"),
        "certainty": st.column_config.TextColumn(help=text.CERTAINTY_HELP),
    }


def derivation(term: Term) -> None:
    """A term: formula, values put in, result, life in the step, source, certainty."""
    title = f"**{term.name}** ({term.category}, {term.certainty}): {format_gib(term.bytes, 3)}"
    _box(title, text.derivation(term), f"{text.lifetime(term)} Source: {term.source}.")


def _box(title: str, derived: str, source: str) -> None:
    with st.container(border=True):
        st.markdown(title)
        st.code(derived, language=None, wrap_lines=True)
        st.caption(source)
