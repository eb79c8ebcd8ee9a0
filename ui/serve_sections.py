"""The parts of the Serve page, in the order in which a reader needs them."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from planner.catalog import find_gpu
from planner.report_serving import base_text, folded, load_text, needs_text
from planner.serving.answer import Serving
from planner.serving.request import ServeRequest
from planner.serving.scenario import Way
from planner.units import format_count, format_gib
from ui import charts, figures, serve_charts, serve_state, text
from ui.ledger import gib_columns
from ui.wording import on_page


def verdict(request: ServeRequest, found: Serving) -> None:
    """The answer in a word, a sentence and four figures."""
    card = f", on one {find_gpu(found.gpu).name}" if found.gpu else ""
    name = found.model.rpartition("/")[2]
    st.subheader(text.verdict_heading(found.verdict), anchor=False)
    st.markdown(f"{name}{base_text(request)}, {load_text(request)}{card}. {needs_text(found)}")
    with st.grid(4, min_column_width=150):
        _metric("Needs (estimated)", figures.short_gib(found.total_bytes))
        if found.usable_bytes is not None and found.headroom_bytes is not None:
            short = found.headroom_bytes < 0
            _metric("Card offers", figures.short_gib(found.usable_bytes))
            _metric("Missing" if short else "Left over", figures.short_gib(abs(found.headroom_bytes)))
        per_token = f"{found.cache_bytes_per_token / 1024:,.1f} KiB"
        _metric("Cache a token", per_token, "Of one sequence at its full length.")


def _metric(label: str, value: str, help_text: str | None = None) -> None:
    st.metric(label, value, help=help_text, border=True, height="stretch")


def breakdown(found: Serving) -> None:
    """The bar of the parts against the card's line."""
    st.subheader("Where the memory goes", anchor=False)
    counts = f"Base of {format_count(found.total_params)} parameters"
    if found.num_adapters:
        counts += (
            f", {found.num_adapters:,} adapters of {format_count(found.adapter_params // found.num_adapters)} each"
        )
    st.caption(f"{counts} (estimated).")
    figure, alt = serve_charts.serving_figure(found), serve_charts.serving_alt(found)
    st.plotly_chart(figure, key="serving", config=charts.CONFIG, alt=alt)


def limits(found: Serving) -> None:
    """The most that fits, each with the rest as it is."""
    if found.verdict is None:
        return
    st.subheader("The most that fits", anchor=False)
    st.caption("Each with all other settings as they are (estimated).")
    with st.grid(3, min_column_width=200):
        if found.num_adapters:
            _metric("Adapters", figures.none_or(found.largest_num_adapters))
        _metric(f"Sequences of {found.max_model_len:,} tokens", figures.none_or(found.largest_num_seqs))
        _metric(f"Tokens a sequence, {found.max_num_seqs:,} at one time", figures.none_or(found.longest_model_len))


def ways(both: Sequence[Way], found: Serving) -> None:
    """One base and an adapter each, against a whole model each."""
    from ui import serve_tables

    if not both:
        return
    st.subheader("One base or a model each", anchor=False)
    st.caption(
        f"{both[0].num_tenants:,} tenants, two ways (estimated). Training is of one tenant: 1 x 1,024 tokens with "
        "gradient checkpointing. Files in 16 bits, adapters as PEFT saves them."
    )
    figure, alt = serve_charts.ways_figure(both, found), serve_charts.ways_alt(both)
    st.plotly_chart(figure, key="ways", config=charts.CONFIG, alt=alt)
    st.dataframe(serve_tables.ways_frame(both), hide_index=True, alt="Both ways side by side, estimated")


@st.fragment
def ledger(found: Serving) -> None:
    """Every term; a chosen row is derived below. The terms of a forward pass are one row."""
    from ui import serve_tables

    terms = folded(found.terms)
    st.subheader("The ledger", anchor=False)
    total = format_gib(found.total_bytes)
    st.caption(f"{len(terms)} terms sum to {total} (estimated). Choose a row to see its derivation.")
    event = st.dataframe(
        serve_tables.ledger_frame(terms, found),
        key="serving_ledger",
        column_config=gib_columns() | {"name": st.column_config.TextColumn(pinned=True, width="medium")},
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        alt="The ledger: every term with bytes, formula, values, source and certainty",
    )
    for row in event.selection.rows:
        if row < len(terms):
            term = terms[row]
            with st.container(border=True):
                st.markdown(f"**{term.name}** ({term.part}, {term.certainty}): {format_gib(term.bytes, 3)}")
                st.code(text.derivation(term), language=None, wrap_lines=True)
                st.caption(f"Source: {term.source}.")


def notes(found: Serving) -> None:
    """What a reader should know of the rules, and the units."""
    st.subheader("Notes", anchor=False)
    st.markdown("\n".join(f"- {text.as_sentence(on_page(note))}" for note in (*found.notes, text.UNITS_NOTE)))


def take_away(request: ServeRequest, values: Mapping[str, Any]) -> None:
    """The link and the command that give the same answer."""
    st.subheader("Take it with you", anchor=False)
    st.caption("This page's address holds the whole question. On the command line, the same answer:")
    st.code(serve_state.cli_command(values, request), language="bash", wrap_lines=True)
    st.code(serve_state.link(st.context.url or "", values), language=None, wrap_lines=True)
