"""The Catalogue page: models, GPUs and prices with their sources, and what a visitor adds."""

import streamlit as st

from ui import catalogue_sections as sections
from ui.inputs import keep_question
from ui.own_sections import your_own

st.title("Catalogue", anchor=False)
st.caption("What the answers rest on: every row with where it was seen and when. Nothing here is fetched.")
keep_question("catalogue")

parts = {"models": sections.models, "GPUs": sections.gpus, "prices": sections.prices, "your own": your_own}
parts[sections.what_to_show()]()
