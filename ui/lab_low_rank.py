"""The laboratory of low rank: a small model trained in three ways by the real libraries, in the child process."""

from typing import Any

import streamlit as st

from planner.catalog.texts import read_text, text_title
from planner.hosted import is_hosted
from planner.units import MIB, format_count
from ui import charts, lab_charts
from ui.profile_sections import hosted, runner, show_start, watch, what_is_missing
from ui.widgets import URL

FIRST, SECOND = "alice.txt", "coriolanus.txt"
_RANKS = (1, 2, 4, 8, 16, 32, 64)
_STEPS = (20, 50, 100, 200, 300)
WHAT = "Low rank by hand"


def laboratory() -> None:
    """The inputs, the run, and what came of it."""
    st.subheader("Low rank by hand", anchor=False)
    st.caption(
        f"A Llama of two layers learns {text_title(FIRST)} character by character; then {text_title(SECOND)}, by "
        "full fine-tuning, LoRA and QLoRA from the same base and on the same batches. Everything here is measured, "
        "on this machine's CPU, with transformers, PEFT and bitsandbytes."
    )
    if is_hosted():
        hosted()
    elif not what_is_missing():
        _start()
    if runner().running:
        watch()
        return
    run = runner().last
    if run is not None and run.what == WHAT and run.error is not None:
        st.error(run.error, icon=":material/report:")
    elif run is not None and run.what == WHAT and run.answer is not None:
        _outcome(run.answer)


def _start() -> None:
    busy = runner().running
    with st.container(horizontal=True, vertical_alignment="bottom"):
        rank = st.select_slider("Rank", _RANKS, value=8, key="lab_rank", help="Of the adapters.", width=260, **URL)
        steps = st.select_slider(
            "Steps of each way", _STEPS, value=100, key="lab_steps", help="The base learns twice as many first.", **URL
        )
        pressed = st.button("Train", type="primary", icon=":material/play_arrow:", disabled=busy)
    if pressed:
        texts = {"first_text": read_text(FIRST), "second_text": read_text(SECOND)}
        task = {"level": "low rank", "r": int(rank), "steps": int(steps), "base_steps": 2 * int(steps), **texts}
        show_start(runner().experiment(WHAT, task))


def _outcome(answer: dict[str, Any]) -> None:
    """Loss curves, and what each way took."""
    ways = answer["ways"]
    st.markdown(
        f"**Loss on the held-out end of the second text** (measured; rank {answer['r']}), from "
        f"{answer['base_loss']:.3f} of the base:"
    )
    st.plotly_chart(lab_charts.losses_figure(ways), key="losses", config=charts.CONFIG, alt=lab_charts.losses_alt(ways))
    with st.grid(3, min_column_width=220):
        for way in ways:
            share = way["trained_params"] / way["total_params"]
            with st.container(border=True):
                st.markdown(f"**{way['method']}**: loss {way['losses'][-1]:.3f}")
                st.caption(
                    f"{format_count(way['trained_params'])} parameters trained ({share:.1%}); "
                    f"{way['seconds']:.1f} s in its "
                    f"steps; tensors at the peak {way['peak_bytes'] / MIB:.2f} MiB."
                )
    st.caption(
        "At this size activations are most of the peak, and adapters cost time: what LoRA saves grows with the model."
    )
