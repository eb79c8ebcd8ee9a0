"""Streamlit entry: page config, navigation, and the refusal of an address that no page can read."""

from pathlib import Path

import streamlit as st

from ui import address

st.set_page_config(page_title="TuneBudget", page_icon=Path(__file__).parent / "ui" / "icon.svg", layout="wide")
page = st.navigation(
    [
        st.Page(
            "ui/pages/fit.py",
            title="Fit",
            icon=":material/memory:",
            help="Will one fine-tuning run fit on a GPU: the verdict, every byte of it, and what to change.",
            default=True,
        ),
        st.Page(
            "ui/pages/cost.py",
            title="Cost",
            icon=":material/payments:",
            help="Hours and USD of a run: rented, spot, reserved or owned; every price with its date.",
        ),
        st.Page(
            "ui/pages/compare.py",
            title="Compare",
            icon=":material/compare:",
            help="Methods, GPUs, stacks or saved questions side by side.",
        ),
        st.Page(
            "ui/pages/sweep.py",
            title="Sweep",
            icon=":material/table_view:",
            help="Tables over models, methods, GPUs and lengths, with files; the cheapest and the fastest plan.",
        ),
        st.Page(
            "ui/pages/serve.py",
            title="Serve",
            icon=":material/dns:",
            help="One base with adapters and a cache on a card, against a whole model for each task.",
        ),
        st.Page(
            "ui/pages/profile.py",
            title="Profile",
            icon=":material/speed:",
            help="Real training steps on this machine: memory and time, measured beside the estimate.",
        ),
        st.Page(
            "ui/pages/evidence.py",
            title="Evidence",
            icon=":material/fact_check:",
            help="What the planner says beside what others measured and published.",
        ),
        st.Page(
            "ui/pages/learn.py",
            title="Learn",
            icon=":material/school:",
            help="Every number derived for your own model; common claims about fine-tuning checked.",
        ),
        st.Page(
            "ui/pages/labs.py",
            title="Labs",
            icon=":material/science:",
            help="NF4 by hand, low rank by hand, and where the peak of a training step falls.",
        ),
        st.Page(
            "ui/pages/drills.py",
            title="Drills",
            icon=":material/quiz:",
            help="Questions with checked answers, each derived afterwards; a mock interview.",
        ),
        st.Page(
            "ui/pages/catalogue.py",
            title="Catalogue",
            icon=":material/menu_book:",
            help="Models, GPUs and prices with their sources; add your own.",
        ),
    ]
)
wrong = address.refused()
if wrong is None:
    page.run()
else:
    st.error(wrong, icon=":material/report:")
