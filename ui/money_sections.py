"""Time and money on the Fit page; nothing where the plan has none."""

from datetime import date

import streamlit as st

from planner.answer import Plan
from ui import money_text as words
from ui import text


def time_and_money(plan: Plan) -> None:
    """A step's time, hours and USD of the dataset, and the price with its date."""
    if plan.step_seconds is None and plan.price is None:
        return
    st.subheader("Time and money", anchor=False)
    st.caption("Estimated, with the 90% band where there is one. " + _without_dataset(plan))
    figures = [figure for figure in _figures(plan) if figure is not None]
    if figures:
        with st.grid(4, min_column_width=185):
            for label, value, band in figures:
                st.metric(label, value, band, delta_color="off", delta_arrow="off", border=True, height="stretch")
    said = [words.price_line(plan.price, date.today()) if plan.price else None, words.utilization(plan)]
    if any(said):
        st.caption(". ".join(text.as_sentence(line) for line in said if line) + ".")


def _without_dataset(plan: Plan) -> str:
    if plan.verdict == "does not fit":
        return "It does not fit: these are what they would be on such cards with enough memory."
    return "" if plan.train_hours is not None else "Say what is trained on (Dataset, in the sidebar) for hours and USD."


Figure = tuple[str, str, str | None]


def _figures(plan: Plan) -> list[Figure | None]:
    return [
        None if plan.train_hours is None else _band("Training", plan.train_hours, "train_hours", plan),
        None if plan.cost_usd is None else _band("Costs", plan.cost_usd, "cost_usd", plan),
        None if plan.step_seconds is None else _step(plan),
        None if plan.tokens_per_second is None else ("Tokens a second", words.rate(plan.tokens_per_second), None),
        None
        if plan.cost_usd is not None or plan.usd_per_million_tokens is None
        else ("A million tokens", words.usd(plan.usd_per_million_tokens), None),
    ]


def _band(label: str, value: float, name: str, plan: Plan) -> Figure:
    write = words.hours if name == "train_hours" else words.short_usd
    return label, write(value), words.between(getattr(plan, f"{name}_low"), getattr(plan, f"{name}_high"), write)


def _step(plan: Plan) -> Figure:
    assert plan.step_seconds is not None
    low, high = ((None if s is None else s / 3600) for s in (plan.step_seconds_low, plan.step_seconds_high))
    return "One step", words.hours(plan.step_seconds / 3600), words.between(low, high, words.hours)
