"""The Fit page: the answer first, then what to change, the picture, the ledger, and the question to take away."""

import streamlit as st

from planner.errors import PlannerError
from ui import ledger, money_sections, sections
from ui.answers import ask, below
from ui.inputs import sidebar
from ui.widgets import refused, show_so_far

st.title("Will it fit?", anchor=False)
st.caption(
    "The memory of one fine-tuning run, byte by byte, before a card is rented. Every figure here is estimated from "
    "what the libraries do; nothing is downloaded or run."
)
sections.examples()

values = sidebar("fit")
try:
    request, plan = ask(values)
    sections.verdict(request, plan)
    show_so_far()
    found = below(values, request)
except PlannerError as error:
    refused(error)
    st.stop()

sections.suggestions(found)
ledger.breakdown(plan)
sections.timeline(plan, found.course)
money_sections.time_and_money(plan)
sections.limits(request, plan, found)
ledger.ledger(plan)
sections.notes(plan)
sections.take_away(request, plan, values)
