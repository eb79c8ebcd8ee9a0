"""The sidebar's kinds of widgets, each bound to the URL by the key of the field that it fills.

Labels of choices are the values themselves, as transformers, PEFT and bitsandbytes spell them: what stands in the
sidebar also stands in the URL, the command and the request file.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import streamlit as st

from planner.errors import PlannerError
from ui import state
from ui.wording import LABELS, on_page

URL: dict[str, Any] = {"bind": "query-params"}


def set_inputs(values: Mapping[str, Any]) -> None:
    """Put values into the inputs; a callback, since a widget's value can only be set before it is drawn."""
    for key, value in values.items():
        st.session_state[key] = value


def held_inputs() -> dict[str, Any]:
    """What the inputs of a question hold, None for those that are not drawn."""
    return {key: st.session_state.get(key) for key in state.FIELDS}


def apply_changes(changes: Mapping[str, Any]) -> None:
    """Put changes into the inputs; with another method come its stack's values for it."""
    if "method" in changes:
        set_inputs(state.change_of_method(held_inputs(), str(changes["method"])))
    set_inputs(changes)


def group(name: str, label: str, icon: str) -> AbstractContextManager[Any]:
    """Settings that stand apart, open where the link sets one of them."""
    return st.expander(label, icon=f":material/{icon}:", expanded=name in st.session_state["open_groups"])


def select(
    key: str,
    options: Sequence[str],
    help_text: str,
    *,
    label: str | None = None,
    typed: bool = False,
    on_change: Callable[[], None] | None = None,
) -> str:
    """One of several values; `typed`: or any other that is typed in."""
    value = st.selectbox(
        label or LABELS[key],
        options,
        index=options.index(state.default(key)),
        key=key,
        help=help_text,
        accept_new_options=typed,
        filter_mode="contains",
        on_change=on_change,
        **URL,
    )
    return str(value)


def one_of(
    key: str,
    label: str,
    options: Sequence[str],
    first: str,
    help_text: str | None = None,
    hidden: bool = False,
    on_change: Callable[[], None] | None = None,
) -> str:
    """One of a few values, side by side; the first where a link names none (Streamlit 1.67 then gives None)."""
    value = st.segmented_control(
        label,
        options,
        default=first,
        required=True,
        key=key,
        help=help_text,
        label_visibility="collapsed" if hidden else "visible",
        on_change=on_change,
        **URL,
    )
    return value if value in options else first


def choice(key: str, help_text: str) -> str:
    """One of the values that the schema allows."""
    return select(key, list(state.choices(key)), help_text)


def count(key: str, help_text: str, step: int = 1) -> int:
    """A whole number of at least one; the planner knows its upper limit and says so."""
    value = st.number_input(
        LABELS[key], min_value=1, value=int(state.default(key)), step=step, key=key, help=help_text, **URL
    )
    return int(value)


def share(key: str, help_text: str, most: float = 0.99) -> float:
    """A number from 0 to below 1."""
    return st.number_input(
        LABELS[key],
        min_value=0.0,
        max_value=most,
        value=float(state.default(key)),
        step=0.05,
        key=key,
        help=help_text,
        **URL,
    )


def amount(key: str, help_text: str, least: float, step: float, disabled: bool = False) -> float | None:
    """A number that may be left open; a whole one where `step` is."""
    return st.number_input(
        LABELS[key], min_value=least, value=None, step=step, key=key, help=help_text, disabled=disabled, **URL
    )


def switch(key: str, help_text: str, disabled: bool = False) -> bool:
    """On or off."""
    return st.toggle(LABELS[key], value=bool(state.default(key)), key=key, help=help_text, disabled=disabled, **URL)


def refused(error: PlannerError) -> None:
    """Why there is no answer, in one line."""
    st.error(on_page(error.message), icon=":material/report:")


def doubted(reason: str) -> None:
    """Why a part of the page has no answer, in one line."""
    st.warning(on_page(reason), icon=":material/report:")


def fact(line: Callable[[], str]) -> None:
    """A caption under an input; what the catalogue does not know is said once, in the main part."""
    try:
        st.caption(line())
    except PlannerError:
        return


#: Longer than the server gathers what it sends, and the page what it draws: 10 ms each (Streamlit 1.67).
_SHOWN_SECONDS = 0.03


def show_so_far() -> None:
    """Let the browser draw what the page has so far, before what takes it longer.

    It draws at once whatever comes within a few milliseconds, and a picture takes it longer than all text together.
    """
    time.sleep(_SHOWN_SECONDS)
