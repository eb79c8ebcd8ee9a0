"""The Cost page: hours and USD first, then rent or buy, the same run on every card, and searches."""

from datetime import date

import streamlit as st

from planner.errors import PlannerError
from ui import cost_sections, sections
from ui.answers import ask
from ui.inputs import sidebar
from ui.widgets import refused

st.title("What will it cost?", anchor=False)
st.caption(
    "Hours and USD of one fine-tuning run: rented on demand or spot, reserved by the month, or on cards of your own. "
    "Every price has its date and source."
)

values = sidebar("cost")
try:
    request, plan = ask(values)
except PlannerError as error:
    refused(error)
    st.stop()

today = date.today()
cost_sections.datasets(request)
cost_sections.answer(request, plan, today)
cost_sections.rent_or_buy(request, plan)
cost_sections.by_card(request, today)
cost_sections.search(request, plan)
sections.notes(plan)
sections.take_away(request, plan, values)
