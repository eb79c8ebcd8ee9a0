"""The Profile page: real training steps on this machine, started, watched and kept; three levels side by side."""

import streamlit as st

from planner.errors import PlannerError
from planner.hosted import is_hosted
from planner.runs.history import History
from ui import profile_sections as sections
from ui import state, text
from ui.inputs import sidebar
from ui.widgets import refused

st.title("Measure it", anchor=False)
st.caption(
    "Real short training steps on the hardware of the machine that serves this page, in a process of their own: random "
    "weights of the real architecture, nothing downloaded. What is measured stands beside the estimate."
)

if is_hosted():
    sections.hosted()
    st.stop()

values = sidebar("profile")
missing = sections.what_is_missing()
if not missing:
    try:
        request = state.request_from_values(values)
        sections.start(request, text.measured_question(request))
    except PlannerError as error:
        refused(error)
if sections.runner().running:
    sections.watch()
else:
    sections.outcome()

history = History()
try:
    found = sections.history(history.rows())
    if found is not None:
        sections.record(found)
except PlannerError as error:
    st.error(error.message, icon=":material/report:")
for said in history.said:
    st.warning(text.as_sentence(said), icon=":material/history:")
