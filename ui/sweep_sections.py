"""The parts of the Sweep page."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import streamlit as st

from planner.errors import PlannerError
from planner.schema import METHODS, PlanRequest
from planner.sweep.axes import Axes
from planner.sweep.block import Block
from planner.sweep.columns import COLUMNS, Column
from planner.sweep.notes import notes
from planner.sweep.search import OPTION_COLUMNS, Search
from planner.sweep.writers import FORMATS, Sheet, open_writer
from ui import charts, sweep, sweep_answers, sweep_charts, text
from ui.answers import gpu_keys, model_ids
from ui.widgets import URL, doubted

_COUNTS = ("1", "2", "4", "8", "16", "32", "64")
_LENGTHS = tuple(map(str, sweep.GRID_LENGTHS))
_BATCHES = tuple(map(str, sweep.GRID_BATCHES))
_BESIDE = "Beside the one in the sidebar; others can be typed."
_CARDS = "Of all machines together; others can be typed. None chosen: the sidebar's."
_MIME = {
    "csv": "text/csv",
    "json": "application/json",
    "md": "text/markdown",
    "html": "text/html",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "parquet": "application/vnd.apache.parquet",
}


def choose() -> sweep.Choice:
    """What is combined with what; the question in the sidebar is always among it."""
    first = sweep.Choice()
    with st.grid(2, min_column_width=280):
        models = _several("sweep_models", "Other models", model_ids(), (), _BESIDE, typed=True)
        methods = _several("sweep_methods", "Methods", METHODS, first.methods, "None chosen: the sidebar's.")
        first_gpus = [gpu for gpu in first.gpus if gpu in gpu_keys()]
        gpus = _several("sweep_gpus", "GPUs", gpu_keys(), first_gpus, _BESIDE, typed=True)
        counts = _several("sweep_counts", "Number of GPUs", _COUNTS, first.counts, _CARDS, typed=True)
        lengths = _several("sweep_lengths", "Other lengths", _LENGTHS, (), _BESIDE, typed=True)
        batches = _several("sweep_batches", "Other batch sizes", _BATCHES, (), _BESIDE, typed=True)
    return sweep.Choice(models, methods, gpus, counts, lengths, batches)


def _several(key: str, label: str, options: Any, first: Any, help_text: str, *, typed: bool = False) -> tuple[Any, ...]:
    chosen = st.multiselect(
        label, list(options), default=list(first), key=key, help=help_text, accept_new_options=typed, **URL
    )
    return tuple(chosen)


def table(axes: Axes, found: Block) -> None:
    """How many fit, every row, and the files."""
    from ui import sweep_tables

    fitting = sum(verdict == "fits" for verdict in found.values("verdict"))
    st.subheader(f"{fitting:,} of {found.num_rows:,} fit", anchor=False)
    st.caption(
        "Estimated; what each card needs, in GiB. GPUs needed: the fewest of these cards on which it fits, "
        "shared as in its row. What does not fit has no time and no cost."
    )
    st.dataframe(
        sweep_tables.table_frame(found),
        hide_index=True,
        column_config=_columns(),
        alt=f"Table of {found.num_rows:,} combinations with verdict, memory, time and cost",
    )
    with st.container(horizontal=True, gap="small"):
        for name in FORMATS:
            _download(f"table.{name}", _file(name, lambda: found, COLUMNS, axes))
    st.code(sweep.cli_command(axes, "-o", "table.xlsx"), language="bash", wrap_lines=True)


def _download(name: str, content: Callable[[], bytes]) -> None:
    ending = name.rpartition(".")[2]
    st.download_button(
        {"md": "Markdown", "parquet": "Parquet", "xlsx": "Excel"}.get(ending, ending.upper()),
        content,
        name,
        _MIME[ending],
        on_click="ignore",
        icon=":material/download:",
        key=name,
    )


def _file(name: str, found: Callable[[], Block], columns: tuple[Column, ...], axes: Axes) -> Callable[[], bytes]:
    """The file's content, made when it is asked for."""

    def content() -> bytes:
        file = BytesIO()
        writer = open_writer(name, file, Sheet(columns, notes(axes)))
        writer.write(found())
        writer.close()
        return file.getvalue()

    return content


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "model": st.column_config.TextColumn(pinned=True),
        "length": number(format="localized"),
        "needs GiB": number(format="%.1f"),
        "card offers": number(format="%.1f"),
        "tokens a second": number(format="localized"),
        "hours": number(format="%.3g"),
        "USD": number(format="accounting"),
        "USD a million tokens": number(format="%.3g"),
        "USD an hour": number(format="accounting"),
        "saved MiB": number(format="localized"),
    }


def grid(request: PlanRequest, card: str) -> None:
    """The question over batches and lengths, as a picture."""
    st.subheader("What fits by batch and length", anchor=False)
    try:
        found = sweep_answers.table(sweep.grid_axes(request))
    except PlannerError as error:
        doubted(error.message)
        return
    what = f"{found.value('model', 0)}, {request.method}, {request.num_gpus} x {card}"
    st.caption(
        f"{what}: GiB that each card needs, estimated. ✓ fits, ~ tight, ✗ does not fit; empty: longer than it can be."
    )
    st.plotly_chart(
        sweep_charts.heat_figure(found), key="heat", config=charts.CONFIG, alt=sweep_charts.heat_alt(found, what)
    )


def time_against_money(options: sweep.Options) -> None:
    """The rows as points."""
    st.subheader("Time against money", anchor=False)
    st.caption(f"Rows of the table that fit, by hours and USD of {options.of} (estimated; both axes logarithmic).")
    _front_chart(options, "front")


def _front_chart(options: sweep.Options, key: str) -> None:
    if not options.front:
        st.info("Nothing that fits has a price and a speed.", icon=":material/info:")
        return
    st.plotly_chart(
        sweep_charts.front_figure(options), key=key, config=charts.CONFIG, alt=sweep_charts.front_alt(options)
    )


def search(request: PlanRequest, choice: sweep.Choice) -> None:
    """Every card, number, way of sharing, batch, checkpointing and loss for the question's model, when asked for."""
    st.subheader("The cheapest and the fastest plan", anchor=False)
    st.caption(
        "For the question's model, length and dataset: the methods above, every rented card, 1 to 8 of them, ways of "
        "sharing, batch sizes, checkpointing and losses that the sidebar leaves at their defaults."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        wanted = st.toggle("Search", key="sweep_search", help="Tries some thousand options.", **URL)
        deadline = _limit("deadline_hours", "At most hours")
        budget = _limit("budget_usd", "At most USD")
    if not wanted:
        return
    try:
        with st.spinner("Trying every option"):
            goal = sweep.goal_of(request, choice, deadline, budget)
            found = sweep_answers.searched(goal)
    except PlannerError as error:
        doubted(error.message)
        return
    _found(found, request.dataset is not None)


def _limit(key: str, label: str) -> float | None:
    return st.number_input(
        label, min_value=0.0, value=None, key=key, help="Empty: no limit.", format="%g", width=160, **URL
    )


def _found(found: Search, has_dataset: bool) -> None:
    from ui import sweep_tables

    options = sweep.search_as_options(found, has_dataset)
    st.markdown(f"{text.as_sentence(sweep.headline(found, options))}.")
    if len(found.front):
        _front_chart(options, "search_front")
        st.dataframe(
            sweep_tables.front_frame(found),
            hide_index=True,
            column_config=_columns(),
            alt="The plans that no other beats in time and money, the fastest first",
        )
    with st.expander("Why not the others", icon=":material/block:", expanded=not len(found.front)):
        st.caption(", ".join(f"{count:,} {name}" for name, count in found.counts.items()) + ".")
        st.dataframe(
            sweep_tables.cards_frame(found), hide_index=True, alt="The best option of every other card, and why not it"
        )
    with st.container(horizontal=True, gap="small"):
        for name in ("csv", "xlsx", "parquet", "json"):
            _download(
                f"options.{name}", lambda name=name: _file(name, found.table(), OPTION_COLUMNS, found.goal.axes)()
            )
