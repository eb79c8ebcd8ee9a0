"""The page's address, before the inputs read it."""

from math import isinf

import streamlit as st

from planner.catalog.names import shown

#: How the keys of inputs begin that take any text.
_FREE_TEXT = "find_"


def refused() -> str | None:
    """Why this address cannot be read, in one line; None where it can.

    Of all that a link may hold, Streamlit 1.67 puts right what an input cannot take, but for an infinite number where
    whole ones are asked for: there it fails (NumberInputSerde.deserialize).
    """
    for key in st.query_params:
        for value in st.query_params.get_all(key):
            if not key.startswith(_FREE_TEXT) and _is_infinite(value):
                return (
                    f"{key[:40]}={shown(value)} in the address is infinite: give a number, or open this page without it"
                )
    return None


def _is_infinite(value: str) -> bool:
    try:
        return isinf(float(value))
    except ValueError:
        return False
