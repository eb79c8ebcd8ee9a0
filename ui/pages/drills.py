"""The Drills page: questions from a seed, marked with their units, and a mock interview against the clock."""

import time

import streamlit as st

from ui import drill_sections as sections

st.title("Drills", anchor=False)
st.caption(
    "Questions drawn from the catalogue, as an interview asks them. The answers are the planner's; each is derived "
    "from the ledger afterwards. GB and GiB are told apart."
)

found = sections.session()
if found.is_over(time.time()):
    sections.result(found)
else:
    sections.clock(found)
    sections.ask(found)
sections.score(found)
