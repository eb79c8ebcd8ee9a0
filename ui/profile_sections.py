"""The parts of the Profile page: start and watch a run, its record at three levels, the history."""

from typing import Any

import streamlit as st

from planner.child import PACKAGES, missing_packages
from planner.errors import PlannerError
from planner.runs.history import History, Row
from planner.runs.record import Record
from planner.runs.start import Options, plan_of
from planner.schema import PlanRequest
from planner.side_by_side import SideBySide, side_by_side
from planner.units import format_gib
from ui import profile_text, text
from ui.runner import Runner

WATCH_SECONDS = 1.0
_CHART_CONFIG = {"displayModeBar": False}


@st.cache_resource
def runner() -> Runner:
    """The one runner of this server."""
    return Runner()


def hosted() -> None:
    """Why there is nothing to start on a copy that serves others, and how to measure at home."""
    st.info("This copy serves many visitors, so it measures nothing on its host.", icon=":material/block:")
    st.markdown("On your own machine, in a checkout:")
    st.code("make app", language="bash")


def what_is_missing() -> bool:
    """Say what to install where the extra is missing."""
    missing = missing_packages()
    if missing:
        st.info(
            f"Measuring needs {', '.join(PACKAGES)}; not installed here: {', '.join(missing)}. The history and plans "
            "work without them.",
            icon=":material/download:",
        )
        st.code('pip install torch==2.13.0\npip install -e ".[profiler]"', language="bash")
    return bool(missing)


def start(request: PlanRequest, question: str) -> None:
    """The question, how to measure it, and the button."""
    busy = runner().running
    st.markdown(f"{question}, measured on what is found here.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        steps = st.number_input(
            "Timed steps",
            1,
            100,
            3,
            key="profile_steps",
            width=150,
            disabled=busy,
            help="After one that warms up, and two whose bytes are followed.",
        )
        layers = st.number_input(
            "Layers",
            0,
            1000,
            0,
            key="profile_layers",
            width=150,
            disabled=busy,
            help="Measure the first layers only; 0: all of them.",
        )
        limit = st.number_input(
            "Minutes at most",
            1,
            600,
            10,
            key="profile_minutes",
            width=170,
            disabled=busy,
            help="A run that takes longer is ended, and kept as such.",
        )
        pressed = st.button("Start", type="primary", icon=":material/play_arrow:", disabled=busy)
    if pressed:
        options = Options(steps=int(steps), num_layers=int(layers) or None, time_limit_seconds=60.0 * limit)
        show_start(runner().measure(question, request, options))


def show_start(started: bool) -> None:
    """Draw the page anew with the run that was started, or say why there is none: a new drawing would wipe that."""
    if started:
        st.rerun()
    st.warning("Another run is under way on this machine: wait for it, or stop it.", icon=":material/hourglass:")


@st.fragment(run_every=WATCH_SECONDS)
def watch() -> None:
    """The run under way: how far it is, its peak so far, and the stop button."""
    run = runner().last
    if run is None or run.done.is_set():
        st.rerun()
        return
    share, words = profile_text.progress_line(run.progress, run.elapsed_seconds)
    st.progress(share, text=f"{run.what}: {words}")
    st.caption("Stopping." if run.stop.is_set() else "One run at a time on this machine: wait for it, or stop it.")
    if not run.stop.is_set():
        st.button("Stop", icon=":material/stop:", key="profile_stop", on_click=runner().stop)


def outcome() -> None:
    """How the last run ended, where it ended without an answer."""
    run = runner().last
    if run is None:
        return
    for said in run.said:
        st.warning(text.as_sentence(said), icon=":material/history:")
    if run.error is not None:
        st.error(profile_text.refusal(run.error), icon=":material/report:")
    elif run.record is not None and run.record["status"] != "done":
        st.warning(profile_text.ending(run.record), icon=":material/report:")


def history(rows: list[Row]) -> Record | None:
    """The runs, the newest first; the one chosen, else the newest that ended with an answer."""
    from ui import profile_tables

    st.subheader("History", anchor=False)
    if not rows:
        st.caption("No runs yet. Each run is kept on this machine, also one that fails.")
        return None
    event = st.dataframe(
        profile_tables.history_frame(rows),
        key="profile_history",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        column_config=_numbers(),
        alt="The history of runs: when, model, method, device, status, measured peak and its ratio to the plan",
    )
    chosen = [rows[index] for index in event.selection.rows if index < len(rows)]
    done = chosen or [row for row in rows if row.status == "done"]
    return History().find(done[0].run) if done else None


def _numbers() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    sizes = {name: number(format="%.4f") for name in ("plan GiB", "trace GiB", "measured GiB")}
    ratios = {name: number(format="%.5f") for name in ("plan/measured", "trace/measured")}
    names = {
        "part": st.column_config.TextColumn(width="medium", pinned=True),
        "model": st.column_config.Column(width="medium"),
    }
    return sizes | ratios | names | {"seconds a step": number(format="%.3f")}


def record(found: Record) -> None:
    """One run: what was measured, and the three levels side by side."""
    st.subheader(f"{found['model']}, {text.METHOD_NAMES.get(found['method'], found['method'])}", anchor=False)
    if found["status"] != "done":
        st.warning(profile_text.ending(found), icon=":material/report:")
        return
    _metrics(found)
    st.caption(profile_text.times(found))
    try:
        levels = side_by_side(plan_of(found), runner().traces.get(found["run"]), found)
    except PlannerError as error:
        st.error(error.message, icon=":material/report:")
        return
    _levels(found, levels)
    for note in found["notes"]:
        st.caption(text.as_sentence(note))


def _metrics(found: Record) -> None:
    ratio = found["plan"]["peak_bytes"] / found["peak_bytes"]
    label = "Peak of tensors (measured)" if found["peak_is_peak"] else "With retries: no peak (measured)"
    with st.grid(4, min_column_width=185):
        st.metric(label, format_gib(found["peak_bytes"], 3), border=True, height="stretch")
        st.metric(
            "Peak of tensors (estimated)",
            format_gib(found["plan"]["peak_bytes"], 3),
            f"{ratio:.5f} of the measured",
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )
        st.metric(
            "A step (measured)",
            f"{found['step_seconds_median']:.3g} s",
            f"{found['tokens_per_second']:,.0f} tokens/s",
            delta_color="off",
            delta_arrow="off",
            border=True,
            height="stretch",
        )
        st.metric(
            "Process (measured)",
            format_gib(found["peak_rss_bytes"] or found["rss_bytes"], 2),
            border=True,
            height="stretch",
        )


def _levels(found: Record, levels: SideBySide) -> None:
    from ui import profile_charts, profile_tables

    st.subheader("Three levels side by side", anchor=False)
    st.plotly_chart(
        profile_charts.levels_figure(levels.categories),
        key="profile_levels",
        config=_CHART_CONFIG,
        alt="Live at the peak by category: the plan, the trace and the measurement as neighbouring bars",
    )
    if found["run"] not in runner().traces and not missing_packages():
        st.button(
            "Put the trace beside it",
            icon=":material/account_tree:",
            key="profile_trace",
            disabled=runner().running,
            on_click=runner().trace,
            args=(found,),
        )
    for title, rows in (
        ("Figures", [row for row in levels.figures if row.name.endswith("_bytes")]),
        ("Live at the peak, by category", levels.categories),
        ("Highest moment of each phase", levels.phases),
    ):
        st.caption(title)
        st.dataframe(profile_tables.levels_frame(rows), hide_index=True, column_config=_numbers(), alt=title)
    st.markdown("\n".join(f"- {text.as_sentence(said)}" for said in levels.explanations))
