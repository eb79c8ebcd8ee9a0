"""The Compare page: one question with an input changed, or saved questions, side by side."""

import streamlit as st

from ui import compare_sections as sections
from ui.answers import plan_of
from ui.compare import answered, variants
from ui.inputs import sidebar
from ui.saved import saved_questions

st.title("Side by side", anchor=False)
st.caption("The question in the sidebar with one of its inputs changed, everything else equal; or saved questions.")

values = sidebar("compare")
by = sections.what_to_compare()
names = sections.chosen(by, values)
found = [answered(name, asked, plan_of) for name, asked in variants(by, values, names, saved_questions())]
sections.refusals(found)
plans = [(variant.name, variant.plan) for variant in found if variant.plan is not None]
if not plans:
    st.stop()

sections.answer(plans, by)
sections.open_in_fit([variant for variant in found if variant.plan is not None])
sections.take_away(found)
