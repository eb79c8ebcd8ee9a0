"""Answers for the page: the planner's results for one request, and the catalogue's names, each computed once."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import streamlit as st

from planner.advise import Suggestion, advise, apply_changes
from planner.answer import PhaseBytes, Plan
from planner.catalog import list_gpus, list_prices
from planner.catalog.price_store import Stamp, stamp
from planner.catalog.tables import read_table
from planner.course import course
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.limits import largest_batch, longest_sequence
from planner.schema import PlanRequest
from ui import money_text, state


@dataclass(frozen=True)
class Below:
    """What the Fit page shows below its answer.

    costs: of each suggestion, in time and money in words; None where it does not fit with it, or neither is known.
    """

    suggestions: tuple[Suggestion, ...]
    costs: tuple[str | None, ...]
    course: tuple[PhaseBytes, ...]
    largest_batch: int | None
    longest_sequence: int | None


def ask(values: state.Values) -> tuple[PlanRequest, Plan]:
    """The request that the inputs make, and its plan.

    Raises PlannerError with one line, for a fault of the program too.
    """
    with one_line(values):
        request = state.request_from_values(values)
        # shown only where it takes a while: a model that the Hub is asked for
        with st.spinner("Working it out"):
            return request, plan_of(request)


def below(values: state.Values, request: PlanRequest) -> Below:
    """What else there is to say about a request that the inputs make.

    Raises PlannerError with one line, for a fault of the program too.
    """
    with one_line(values):
        return _below(request.model_dump_json(exclude_unset=True), stamp())


@contextmanager
def one_line(values: state.Values) -> Iterator[None]:
    """A fault of the program as a PlannerError with one line; its traceback goes to the server's log."""
    try:
        yield
    except PlannerError:
        raise
    except Exception as error:
        logging.getLogger(__name__).exception("no answer to %s", dict(values))
        reason = f"unexpected {type(error).__name__}: {error}"
        raise PlannerError(f"{reason}: a fault of this program, please report it with this page's link") from error


#: Answers kept for all visitors together: the last few of fifty.
_KEPT = 200


@st.cache_resource(max_entries=_KEPT, show_spinner=False)
def _below(request_json: str, prices: Stamp) -> Below:
    """Kept as it is, not copied: nothing changes it. prices: the own price lists that it is worked out with."""
    request = PlanRequest.model_validate_json(request_json)
    plan = _plan(request_json, prices)
    found = advise(request, plan)
    costs = tuple(_costs(request, plan, suggestion) for suggestion in found)
    return Below(found, costs, course(request), largest_batch(request), longest_sequence(request))


def _costs(request: PlanRequest, plan: Plan, suggestion: Suggestion) -> str | None:
    """What a suggestion with which it fits costs in time and money."""
    if suggestion.verdict != "fits":
        return None
    try:
        return money_text.change(plan, estimate(apply_changes(request, suggestion.changes)))
    except PlannerError:
        return None


def plan_of(request: PlanRequest) -> Plan:
    """The plan alone, where many are put side by side.

    Raises PlannerError where the request cannot be planned.
    """
    return _plan(request.model_dump_json(exclude_unset=True), stamp())


@st.cache_resource(max_entries=_KEPT, show_spinner=False)
def _plan(request_json: str, prices: Stamp) -> Plan:
    return estimate(PlanRequest.model_validate_json(request_json))


@st.cache_data(show_spinner=False)
def model_ids() -> list[str]:
    """Every model of the catalogue by id."""
    return sorted(read_table("models/index.csv").column("id"), key=str.casefold)


@st.cache_data(show_spinner=False)
def gpu_keys() -> list[str]:
    """Every card of the catalogue by key, by vendor and generation."""
    return [gpu.key for gpu in list_gpus()]


def providers() -> list[str]:
    """Who has prices: in the catalogue, and in own lists that can be read (else the answer says why not)."""
    try:
        return _providers(stamp())
    except PlannerError:
        return sorted(set(read_table("prices.csv").column("provider")))


@st.cache_data(max_entries=10, show_spinner=False)
def _providers(prices: Stamp) -> list[str]:
    return sorted({row.provider for row in list_prices()})
