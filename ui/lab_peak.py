"""The laboratory of the peak: batch, length and checkpointing move the timeline of one step."""

from typing import Any

import streamlit as st

from planner.answer import Plan
from planner.errors import PlannerError
from planner.units import format_gib
from ui import charts, state, text
from ui.answers import plan_of
from ui.widgets import URL, one_of

_LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
_METHODS = ("full", "lora", "qlora")
_CHECKPOINTING = "Keep one hidden state a layer and recompute the rest."


def laboratory() -> None:
    """The inputs, where the peak falls, and the timeline."""
    values = _question()
    st.subheader("Where the peak falls", anchor=False)
    st.caption(
        "Move the sliders and watch which phase of a training step needs most. The model is the one last asked about."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        method = one_of("lab_method", "Method", _METHODS, "lora")
        checkpointing = st.toggle("Gradient checkpointing", key="lab_checkpointing", help=_CHECKPOINTING, **URL)
    batch = st.slider("Batch size", 1, 64, 1, key="lab_batch", help="Sequences in one forward pass.", **URL)
    length = st.select_slider(
        "Length in tokens", _LENGTHS, value=1024, key="lab_length", help="Of one sequence.", **URL
    )
    changed = {"method": method, "gradient_checkpointing": checkpointing, "max_length": int(length)}
    try:
        plan = plan_of(state.request_from_values(values | changed | {"per_device_train_batch_size": batch}))
    except PlannerError as error:
        st.error(error.message, icon=":material/report:")
        return
    _answer(plan)


def _question() -> dict[str, Any]:
    """The question last asked in this visit, or the first one."""
    _, asked = st.session_state.get("question", ("", {}))
    return state.defaults() | {key: asked[key] for key in ("model", "own_model", "gpu") if key in asked}


def _answer(plan: Plan) -> None:
    shares = {
        name: getattr(plan, f"{name}_bytes") for name in ("weights", "optimizer", "activations", "logits", "gradients")
    }
    largest = max(shares, key=lambda name: shares[name])
    peak = format_gib(plan.peak_bytes + plan.runtime_bytes)
    st.markdown(
        f"{plan.model.rpartition('/')[2]}: the peak of **{peak}** (estimated, with the CUDA context) falls "
        f"**{text.peak_place(plan)}**; the largest part of it is {largest}, {format_gib(shares[largest])}."
    )
    st.plotly_chart(charts.timeline_figure(plan), key="lab_timeline", config=charts.CONFIG, alt=text.timeline_alt(plan))
