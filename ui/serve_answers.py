"""Answers for the Serve page, each computed once."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from planner.catalog.price_store import Stamp, stamp
from planner.serving.answer import Serving
from planner.serving.limits import serving_with_limits
from planner.serving.request import ServeRequest
from planner.serving.scenario import Way, ways
from ui import serve_state
from ui.answers import one_line

Answer = tuple[Serving, tuple[Way, ...]]


def ask(values: Mapping[str, Any]) -> tuple[ServeRequest, Serving, tuple[Way, ...]]:
    """The request that the inputs make, its answer, and both ways of serving the tenants.

    Raises PlannerError with one line, for a fault of the program too.
    """
    with one_line(values):
        request = serve_state.request_from_values(values)
        return request, *_answer(request.model_dump_json(exclude_unset=True), stamp())


@st.cache_data(max_entries=1000, show_spinner=False)
def _answer(request_json: str, prices: Stamp) -> Answer:
    request = ServeRequest.model_validate_json(request_json)
    found = serving_with_limits(request)
    return found, ways(request, found) if request.num_adapters else ()
