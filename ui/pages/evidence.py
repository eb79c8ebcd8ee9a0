"""The Evidence page: what the planner says beside what was measured, in figures, a picture and rows with links."""

import streamlit as st

from ui import evidence, evidence_sections, evidence_speed

st.title("How right is it?", anchor=False)
st.caption(
    "Memory and speed that others measured and published, put to the planner as it is now. Measured figures are "
    "quoted from their sources; everything else here is estimated."
)

scored = evidence.scored()
found = evidence_sections.narrowed(scored.published)
evidence_sections.headline(found)
evidence_sections.scatter(found)
evidence_sections.groups(found)
evidence_sections.worst(found)
evidence_sections.verdicts(found)
evidence_sections.refused([*found, *scored.own])
evidence_sections.own(scored.own)
evidence_speed.speeds(evidence_speed.scored())
