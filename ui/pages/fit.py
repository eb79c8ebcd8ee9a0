"""The Fit page: the answer first, then what to change, the picture, the ledger, and the question to take away."""

import streamlit as st

from planner.errors import PlannerError
from ui import ledger, money_sections, sections
from ui.answers import ask
from ui.inputs import sidebar

st.title("Will it fit?", anchor=False)
st.caption(
    "The memory of one fine-tuning run, byte by byte, before a card is rented. Every figure here is estimated from "
    "what the libraries do; nothing is downloaded or run."
)
sections.examples()

values = sidebar("fit")
try:
    request, result = ask(values)
except PlannerError as error:
    st.error(error.message, icon=":material/report:")
    st.stop()

sections.verdict(request, result)
sections.suggestions(result)
ledger.breakdown(result.plan)
sections.timeline(result)
money_sections.time_and_money(result.plan)
sections.limits(request, result)
ledger.ledger(result.plan)
sections.notes(result.plan)
sections.take_away(request, result.plan, values)
