"""Questions that a visitor keeps under a name, for the length of the visit."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from ui import state
from ui.widgets import set_inputs

MAX_SAVED = 20
MAX_NAME = 60


def saved_questions() -> dict[str, dict[str, Any]]:
    """The values of the inputs by the name they were saved under, in the order of saving."""
    kept: dict[str, dict[str, Any]] = st.session_state.setdefault("saved", {})
    return kept


def questions(values: Mapping[str, Any]) -> None:
    """Save the question at hand; open or forget a saved one."""
    kept = saved_questions()
    with st.expander("Saved questions", icon=":material/bookmark:", expanded=bool(kept)):
        st.text_input(
            "Name of this question",
            key="saved_name",
            max_chars=MAX_NAME,
            placeholder=suggested_name(values),
            help="Left empty: the name that stands in it.",
        )
        st.button(
            "Save",
            icon=":material/bookmark_add:",
            on_click=_save,
            args=(dict(values),),
            disabled=len(kept) >= MAX_SAVED,
            help="Kept until this visit ends; a link keeps longer. Compare shows saved questions side by side.",
        )
        for number, (name, held) in enumerate(kept.items()):
            _entry(number, name, held)


def _entry(number: int, name: str, held: Mapping[str, Any]) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        everything = state.defaults() | dict(held)
        st.button(name, key=f"open_{number}", type="tertiary", on_click=set_inputs, args=(everything,), wrap=True)
        st.button(
            "",
            key=f"forget_{number}",
            type="tertiary",
            icon=":material/close:",
            help=f"Forget {name}",
            on_click=_forget,
            args=(name,),
        )


def _save(values: dict[str, Any]) -> None:
    name = str(st.session_state.get("saved_name") or "").strip() or suggested_name(values)
    saved_questions()[name] = values
    st.session_state["saved_name"] = ""


def _forget(name: str) -> None:
    saved_questions().pop(name, None)


def suggested_name(values: Mapping[str, Any]) -> str:
    """What a question is called where its owner gives it no name."""
    model = str(values["model"]).rpartition("/")[2]
    cards = f"{values['num_gpus']} x " if values["num_gpus"] != 1 else ""
    return f"{model} {values['method']} on {cards}{values['gpu']}"[:MAX_NAME]
