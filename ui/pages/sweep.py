"""The Sweep page: a table with its files, what fits by batch and length, time against money, a search."""

import streamlit as st

from planner.errors import PlannerError
from ui import state, sweep, sweep_answers
from ui import sweep_sections as sections
from ui.answers import one_line
from ui.inputs import sidebar
from ui.widgets import refused

st.title("Which run, on what?", anchor=False)
st.caption(
    "The question in the sidebar with other models, methods, GPUs, lengths and batch sizes, each combined with each: "
    "a table to take away. Everything here is estimated."
)

values = sidebar("sweep")
choice = sections.choose()
try:
    with one_line(values):
        request = state.request_from_values(values)
        axes = sweep.table_axes(request, choice)
        found = sweep_answers.table(axes)
except PlannerError as error:
    refused(error)
    st.stop()

sections.table(axes, found)
sections.grid(request, str(values["gpu"]))
sections.time_against_money(sweep.rows_as_options(found, request.dataset is not None))
sections.search(request, choice)
