"""Tables and searches for the page, each computed once."""

import streamlit as st

from planner.sweep.axes import Axes
from planner.sweep.block import Block
from planner.sweep.goal import Goal
from planner.sweep.search import Search
from planner.sweep.search import search as find
from ui import sweep


def table(axes: Axes) -> Block:
    """All rows. Raises PlannerError where they cannot be planned."""
    return _table(repr(axes), axes)


@st.cache_data(max_entries=50, show_spinner=False)
def _table(key: str, _axes: Axes) -> Block:
    return sweep.table_of(_axes)


def searched(goal: Goal) -> Search:
    """Every option of a goal. Raises PlannerError where it cannot be planned."""
    return _searched(repr(goal), goal)


@st.cache_resource(max_entries=10, show_spinner=False)
def _searched(key: str, _goal: Goal) -> Search:
    return find(_goal)
