"""The parts of the Catalogue page: what is known of models, GPUs and prices, and what a visitor adds."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from planner.architecture.blocks import Architecture
from planner.architecture.read import read_architecture
from planner.catalog import find_gpu, find_model, list_gpus, list_models, list_prices, load_config
from planner.cost.age import STALE_DAYS
from planner.units import format_count
from ui import catalogue_tables as tables
from ui import text
from ui.inputs import ask_about
from ui.widgets import URL, one_of

_SEARCH = "Rows that hold all of the words, each in any column."
SHOWN = ("models", "GPUs", "prices", "your own")


def what_to_show() -> str:
    """Which part of the catalogue."""
    return one_of("show", "Show", SHOWN, SHOWN[0])


def models() -> None:
    """Every model of the catalogue; a chosen one in detail."""
    st.caption(
        "Parameter counts are built from the config; the column count says how they were checked against published "
        "ones. Licences and consent are recalled: the model card decides. Choose a row for its layers."
    )
    row = _chosen(_models_frame, "Search models", "models", {"parameters": _number("compact")})
    if row is None:
        return
    found = find_model(row["model"])
    config = load_config(found)
    st.subheader(found.id, anchor=False)
    st.caption(f"{text.model_facts(found)}; released {found.released}. Config: {found.source}. {found.notes}")
    _ask_button("Ask about this model", {"model": found.id, "own_model": None})
    architecture_details(read_architecture(config, found.id), config)


def architecture_details(architecture: Architecture, config: dict[str, Any]) -> None:
    """A model's sizes, its linear layers and its config."""
    with st.grid(5, min_column_width=130):
        for label, value in (
            ("Parameters", format_count(architecture.num_params)),
            ("Layers", f"{architecture.num_layers:,}"),
            ("Hidden size", f"{architecture.hidden_size:,}"),
            ("Vocabulary", f"{architecture.vocab_size:,}"),
            ("Head", "tied" if architecture.tied else "its own"),
        ):
            st.metric(label, value, border=True, height="stretch")
    left, right = st.columns(2)
    with left:
        st.caption("Linear layers: the names that target_modules can have.")
        st.dataframe(tables.linears_frame(architecture), hide_index=True, alt="Linear layers with out and in features")
    with right:
        st.caption("config.json, with the fields that were collected.")
        st.json(config, expanded=1)


def gpus() -> None:
    """Every card of the catalogue; a chosen one is asked about."""
    st.caption(
        "Usable is what a process can allocate in all: seen in posts, or derived. Rates are dense, with fp32 "
        "accumulation where that is stated."
    )
    numbers = {name: _number("%.1f") for name in ("usable GiB", "GB/s", "bf16 TFLOP/s", "fp32 TFLOP/s")}
    row = _chosen(_gpus_frame, "Search GPUs", "gpus", {**numbers, "gpu": _gpu(), "source": _link()})
    if row is None:
        return
    card = find_gpu(row["gpu"])
    st.subheader(card.name, anchor=False)
    st.caption(f"{text.gpu_facts(card)}. {card.usable_source}. {card.notes}")
    _ask_button("Ask about this card", {"gpu": card.key})


def prices() -> None:
    """Every offer of the price list with its date and mark."""
    st.caption(
        f"USD an hour, of the day that stands beside it; what is undated or over {STALE_DAYS} days old says so and is "
        "only indicative. On your own machine, `tunebudget prices --refresh` fetches newer ones."
    )
    columns = {"gpu": _gpu(), "USD/h a card": _number("%.3f"), "USD/h": _number("%.3f"), "source": _link()}
    row = _chosen(_prices_frame, "Search prices", "prices", columns)
    if row is not None:
        st.caption(f"{row['gpu']} at {row['provider']}: {row['note'] or 'no note'}")
        _ask_button("Ask with this provider", {"gpu": row["gpu"], "provider": row["provider"]})


@st.cache_data(show_spinner=False)
def _models_frame() -> pd.DataFrame:
    return tables.models_frame(list_models())


@st.cache_data(show_spinner=False)
def _gpus_frame() -> pd.DataFrame:
    return tables.gpus_frame(list_gpus())


@st.cache_data(show_spinner=False, ttl=3600)
def _prices_frame() -> pd.DataFrame:
    return tables.prices_frame(list_prices(), date.today())


def _chosen(rows: Callable[[], pd.DataFrame], label: str, key: str, columns: dict[str, Any]) -> dict[str, Any] | None:
    """A table that can be searched; the row chosen in it."""
    words = st.text_input(
        label, key=f"find_{key}", max_chars=100, placeholder="any words, in any column", help=_SEARCH, **URL
    )
    frame = tables.found(rows(), words or "")
    st.caption(f"{len(frame):,} of {len(rows()):,}.")
    event = st.dataframe(
        frame,
        key=f"table_{key}",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config=columns,
        alt=f"The catalogue's {key} with their sources",
    )
    chosen = [row for row in event.selection.rows if row < len(frame)]
    return dict(frame.iloc[chosen[0]]) if chosen else None


def _ask_button(label: str, values: dict[str, Any]) -> None:
    if st.button(label, icon=":material/arrow_forward:", type="primary"):
        ask_about("catalogue", values)


def _number(form: Any) -> Any:
    return st.column_config.NumberColumn(format=form)


def _gpu() -> Any:
    return st.column_config.TextColumn("GPU")


def _link() -> Any:
    return st.column_config.LinkColumn(width="medium")
