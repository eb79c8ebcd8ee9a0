"""The Labs page: what the libraries do with numbers, small enough to do by hand."""

import streamlit as st

from ui import lab_low_rank, lab_nf4, lab_peak
from ui.widgets import one_of

_LABS = {
    "NF4 by hand": lab_nf4.laboratory,
    "Low rank by hand": lab_low_rank.laboratory,
    "Where the peak falls": lab_peak.laboratory,
}

st.title("Laboratories", anchor=False)
st.caption("Small experiments on the real rules: change an input and see what follows.")
_LABS[one_of("lab", "Laboratory", list(_LABS), "NF4 by hand")]()
