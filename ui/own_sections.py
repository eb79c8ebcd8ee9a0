"""Own models, cards and prices on the Catalogue page."""

from typing import Any

import streamlit as st

from planner.catalog.own_gpu import own_gpu_name
from planner.errors import PlannerError
from ui import own
from ui.catalogue_sections import architecture_details
from ui.inputs import ask_about

_MAX_CHARACTERS = 2**20


def your_own() -> None:
    """All that a visitor can add."""
    _models()
    _card()
    _price()


def _models() -> None:
    st.subheader("Your own model", anchor=False)
    st.caption(
        "Its config.json, uploaded or pasted: up to 1 MiB, any model_type that the catalogue has. It stays in this "
        "visit: links name it and do not hold it; the request as JSON holds the whole config."
    )
    with st.form("own_model", clear_on_submit=False):
        name = st.text_input(
            "Name", max_chars=40, placeholder="as the config says", key="own_name", help="How it is called here."
        )
        file = st.file_uploader(
            "config.json", type="json", key="own_file", help="Of the model's folder or its Hub page."
        )
        pasted = st.text_area(
            "or paste it", key="own_text", max_chars=_MAX_CHARACTERS, height=160, help="Used where no file is chosen."
        )
        pressed = st.form_submit_button("Add the model", icon=":material/add:")
    if pressed:
        _add(name or "", file.getvalue() if file is not None else pasted.encode(errors="replace"))
    for key in list(own.own_models()):
        _model(key)


def _add(name: str, content: bytes) -> None:
    """Keep a config, or say in one line why not."""
    if not content.strip():
        st.error("Upload a config.json, or paste one.", icon=":material/report:")
        return
    try:
        st.session_state["added_model"] = own.add_model(name, content)
    except PlannerError as error:
        st.error(error.message, icon=":material/report:")


def _model(key: str) -> None:
    config = own.own_models()[key]
    with st.expander(key, icon=":material/deployed_code:", expanded=key == st.session_state.get("added_model")):
        with st.container(horizontal=True):
            if st.button("Ask about this model", key=f"ask_{key}", type="primary", icon=":material/arrow_forward:"):
                ask_about("catalogue", {"model": key, "own_model": config})
            st.button("Forget it", key=f"forget_{key}", on_click=own.own_models().pop, args=(key, None))
        architecture_details(own.read_own(config), config)


def _card() -> None:
    st.subheader("Your own GPU", anchor=False)
    st.caption(
        "What is left open is not used: memory needs no rates, time needs bandwidth and bf16. It travels in links."
    )
    with st.form("own_card"), st.container(horizontal=True, vertical_alignment="bottom"):
        usable = st.number_input("Usable GiB", 0.25, 4096.0, 24.0, key="own_usable", help="Of what a process can get.")
        bandwidth = _open("Bandwidth in GB/s", "own_bandwidth", "Memory bandwidth.")
        rate = _open("bf16 TFLOP/s", "own_rate", "Dense, with fp32 accumulation.")
        power = _open("Power in W", "own_power", "Power cap.")
        capability = _open("Compute capability", "own_capability", "NVIDIA's, as 8.9: it sets the cuBLAS workspace.")
        pressed = st.form_submit_button("Ask about this card")
    if pressed:
        spelled = own_gpu_name(
            usable_gib=usable,
            mem_bandwidth_gb_s=bandwidth,
            bf16_dense_tflops=rate,
            tdp_w=power,
            compute_capability=capability,
        )
        _ask(spelled)


def _ask(spelled: str) -> None:
    try:
        key = own.add_card(spelled)
    except PlannerError as error:
        st.error(error.message, icon=":material/report:")
    else:
        ask_about("catalogue", {"gpu": key})


def _open(label: str, key: str, help_text: str) -> float | None:
    return st.number_input(label, value=None, min_value=0.01, key=key, help=help_text)


def _price() -> None:
    st.subheader("Your own price", anchor=False)
    st.caption("USD an hour of one rented card, before any price list. It travels in links.")
    with st.form("own_price"), st.container(horizontal=True, vertical_alignment="bottom"):
        usd = st.number_input(
            "USD an hour of a card", 0.0, 10_000.0, 1.0, step=0.05, key="own_usd", help="As its owner bills it."
        )
        pressed = st.form_submit_button("Ask with this price")
    if pressed:
        values: dict[str, Any] = {"usd_per_gpu_hour": usd, "provider": None}
        ask_about("catalogue", values)
