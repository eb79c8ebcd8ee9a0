"""Streamlit entry: page config and navigation, nothing else."""

import streamlit as st

st.set_page_config(page_title="TuneBudget", page_icon=":material/memory:", layout="wide")
st.navigation(
    [
        st.Page(
            "ui/pages/fit.py",
            title="Fit",
            icon=":material/memory:",
            help="Will one fine-tuning run fit on a GPU: the verdict, every byte of it, and what to change.",
            default=True,
        )
    ]
).run()
