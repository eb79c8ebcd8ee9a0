"""The Learn page: every number derived for the reader's own question, and common claims checked."""

import streamlit as st

from planner.errors import PlannerError
from ui import learn_sections as sections
from ui import state
from ui.inputs import sidebar
from ui.widgets import refused

st.title("Learn", anchor=False)
st.caption(
    "Every number here is computed, for the model and settings of the sidebar: from the question to an answer to say "
    "aloud. Formulas are computed as they stand."
)

values = sidebar("learn")
if sections.what_to_show() == sections.CLAIMS:
    sections.claims()
    st.stop()

name = sections.which_topic()
try:
    sections.walk_throughs(name, state.request_from_values(values))
except PlannerError as error:
    refused(error)
