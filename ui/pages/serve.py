"""The Serve page: one base with adapters and a cache on a card, the most that fits, and whole models instead."""

import streamlit as st

from planner.errors import PlannerError
from ui import serve_sections as sections
from ui.serve_answers import ask
from ui.serve_inputs import sidebar
from ui.widgets import refused

st.title("How many can it serve?", anchor=False)
st.caption(
    "The memory of one base model with adapters and the keys and values of the sequences it answers, against a whole "
    "model for each task. Every figure here is estimated."
)

values = sidebar()
try:
    request, found, both = ask(values)
except PlannerError as error:
    refused(error)
    st.stop()

sections.verdict(request, found)
sections.breakdown(found)
sections.limits(found)
sections.ways(both, found)
sections.ledger(found)
sections.notes(found)
sections.take_away(request, values)
