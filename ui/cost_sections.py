"""The parts of the Cost page, in the order in which a reader needs them."""

from datetime import date
from typing import Any

import streamlit as st

from planner.answer import Plan
from planner.catalog import find_gpu, ownership_default
from planner.catalog.price_store import Stamp, stamp
from planner.cost.hpo import Search
from planner.method_search import searches
from planner.schema import PlanRequest
from ui import charts, cost, cost_charts, cost_text, text
from ui import money_text as words
from ui.answers import plan_of
from ui.widgets import URL, set_inputs

#: Sizes of a dataset to begin with.
_DATASETS = {"10 million tokens": 10**7, "100 million tokens": 10**8, "1 billion tokens": 10**9}


def datasets(request: PlanRequest) -> None:
    """Sizes to choose from, where nothing is said of what is trained on."""
    if request.dataset is not None:
        return
    st.info(
        "Say what is trained on for hours and USD: Dataset, in the sidebar, or one of these.", icon=":material/dataset:"
    )
    with st.container(horizontal=True, gap="small"):
        for label, tokens in _DATASETS.items():
            st.button(label, key=f"tokens_{tokens}", on_click=set_inputs, args=({"num_tokens": tokens},))


def answer(request: PlanRequest, plan: Plan, today: date) -> None:
    """Hours and USD in a word, with their band, and the price that they rest on."""
    warning = cost_text.fit_warning(plan)
    if warning:
        st.warning(warning, icon=":material/warning:")
    st.subheader(cost_text.heading(plan), anchor=False)
    card = find_gpu(plan.gpu).name if plan.gpu else None
    asked = (text.question(request, plan, card), cost_text.trained_on(request))
    figures = _figures(plan)
    said = ": estimated, with the 90% band where there is one" if figures else ""
    st.markdown(f"{'; '.join(filter(None, asked))}{said}.")
    with st.grid(4, min_column_width=185):
        for label, value, band in figures:
            st.metric(label, value, band, delta_color="off", delta_arrow="off", border=True, height="stretch")
    if plan.price is not None:
        st.caption(text.as_sentence(words.price_line(plan.price, today)))


def _figures(plan: Plan) -> list[tuple[str, str, str | None]]:
    figures: list[tuple[str, str, str | None]] = []
    if plan.train_hours is not None:
        figures.append(("Training takes", words.hours(plan.train_hours), _band(plan, "train_hours")))
    if plan.cost_usd is not None:
        figures.append(("It costs", words.short_usd(plan.cost_usd), _band(plan, "cost_usd")))
    if plan.usd_per_million_tokens is not None:
        figures.append(("A million tokens", words.usd(plan.usd_per_million_tokens), None))
    if plan.price is not None and plan.cost_usd is None:
        figures.append(("An hour", words.usd(plan.price.usd_per_hour), None))
    if plan.energy_kwh is not None:
        figures.append(("Energy", words.energy(plan.energy_kwh), None))
    return figures


def _band(plan: Plan, name: str) -> str | None:
    write = words.hours if name == "train_hours" else words.short_usd
    return words.between(getattr(plan, f"{name}_low"), getattr(plan, f"{name}_high"), write)


def by_card(request: PlanRequest, today: date) -> None:
    """Every card with a price, what fits first and the cheapest first."""
    from ui import cost_tables

    st.subheader("The same run on every card", anchor=False)
    found, unpriced = _options(request.model_dump_json(exclude_unset=True), stamp())
    if not found:
        st.caption("No card has a price of this kind.")
        return
    best = cost.cheapest_that_fits(found)
    said = "None of them holds it." if best is None else f"The cheapest that holds it: {best.gpu.name}."
    st.caption(
        f"{said} With {request.num_gpus} card{'s' if request.num_gpus > 1 else ''} and all else equal (estimated); an "
        "hour is that of the smallest machine with so many cards, paid whole."
    )
    st.dataframe(
        cost_tables.option_frame(found, today),
        column_config=_option_columns(),
        hide_index=True,
        alt="Cards with a price: verdict, hours, USD, price with date and source",
    )
    if unpriced:
        st.caption(f"No price is known for {len(unpriced)} other cards: {', '.join(unpriced)}.")


@st.cache_resource(max_entries=200, show_spinner=False)
def _options(request_json: str, prices: Stamp) -> tuple[list[cost.Option], list[str]]:
    return cost.options(PlanRequest.model_validate_json(request_json), plan_of)


def _option_columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    money = {name: number(format="accounting") for name in ("USD", "USD low", "USD high", "USD/h")}
    rest = {"hours": number(format="localized"), "USD a million tokens": number(format="%.3f")}
    return (
        money
        | rest
        | {
            "gpu": st.column_config.TextColumn("GPU", pinned=True),
            "source": st.column_config.LinkColumn(display_text="open"),
        }
    )


def rent_or_buy(request: PlanRequest, plan: Plan) -> None:
    """Whether to rent or to buy: a sentence and the two lines."""
    if request.gpu is None:
        return
    st.subheader("Rent or buy", anchor=False)
    owned = request.pricing is not None and request.pricing.kind == "owned"
    terms = {} if owned else _terms(request.gpu)
    found = cost.rent_or_buy(request, **terms)
    if isinstance(found, str):
        st.info(cost_text.not_comparable(found, owned))
        return
    st.markdown(cost_text.break_even_line(found, plan.train_hours))
    st.plotly_chart(
        cost_charts.break_even_figure(found, plan.train_hours),
        key="break_even",
        config=charts.CONFIG,
        alt=cost_charts.break_even_alt(found),
    )


def _terms(gpu_key: str) -> dict[str, float | None]:
    """What owning would take, as inputs: defaults are the launch price and data/ownership.csv."""
    launch = find_gpu(gpu_key).launch_msrp_usd
    with st.grid(4, min_column_width=150):
        price = st.number_input(
            "Price of a card in USD",
            min_value=0.0,
            value=None,
            step=100.0,
            key="buy_price_usd",
            placeholder="not known" if launch is None else f"{launch:,.0f} (launch)",
            help="Left open: the launch price, where one is known.",
            **URL,
        )
        share = _term("buy_utilization", "Share of hours at work", "utilization", 0.001, 1.0, 0.05)
        years = _term("buy_years", "Years of use", "useful_life_years", 0.01, 100.0, 0.5)
        kwh = _term("buy_usd_per_kwh", "USD a kWh", "electricity_usd_per_kwh", 0.0, 100.0, 0.01)
    terms = {"utilization": share, "useful_life_years": years, "electricity_usd_per_kwh": kwh}
    return {"purchase_price_usd": price, **terms}


def _term(key: str, label: str, name: str, least: float, most: float, step: float) -> float:
    row = ownership_default(name)
    value = st.number_input(
        label, min_value=least, max_value=most, value=row.value, step=step, key=key, help=f"{row.source}.", **URL
    )
    return float(value)


def search(request: PlanRequest, plan: Plan) -> None:
    """What a search over hyperparameters comes to, by each method."""
    from ui import cost_tables

    if request.gpu is None or plan.train_hours is None:
        return
    st.subheader("A search over hyperparameters", anchor=False)
    st.caption(
        "Trials in a row, one on each card of the machine, or all at once (estimated). A card that holds several "
        "trials gains nothing from running them together while one keeps it busy."
    )
    found = searches(request, _trials(), plan_of)
    for one in found:
        if isinstance(one.found, str):
            st.caption(f"{text.as_sentence(one.found)}.")
    frame = cost_tables.search_frame(found)
    if frame.empty:
        return
    st.dataframe(
        frame,
        column_config={
            "hours": st.column_config.NumberColumn(format="localized"),
            "USD": st.column_config.NumberColumn(format="accounting"),
        },
        hide_index=True,
        alt="A search over hyperparameters by method and schedule: trials at once, machines, hours, USD",
    )


def _trials() -> Search:
    with st.grid(4, min_column_width=150):
        trials = st.number_input(
            "Trials",
            min_value=1,
            max_value=10_000,
            value=20,
            step=1,
            key="trials",
            help="Runs that try other settings.",
            **URL,
        )
        share = st.number_input(
            "Share of the run each",
            min_value=0.01,
            max_value=1.0,
            value=0.25,
            step=0.05,
            key="trial_share",
            help="Trials are often stopped early, or see a part of the data.",
            **URL,
        )
    return Search(int(trials), float(share))
