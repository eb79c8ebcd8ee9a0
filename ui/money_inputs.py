"""The sidebar's groups that turn a step into hours and money: what is trained on, and how the cards are paid for."""

from typing import Any

import streamlit as st

from ui import state
from ui.answers import providers
from ui.widgets import URL, amount, choice, group
from ui.wording import LABELS


def dataset() -> dict[str, Any]:
    """What is trained on: hours and USD of the whole run need it."""
    with group("dataset", "Dataset", "dataset"):
        tokens = amount("num_tokens", "`num_tokens` of one epoch; or give examples and their length.", 1, 1)
        counted = tokens is not None
        return {
            "num_tokens": tokens,
            "num_examples": amount("num_examples", "`num_examples` of one epoch.", 1, 1, counted),
            "mean_length": amount("mean_length", "`mean_length` in tokens.", 1.0, 1.0, counted),
            "num_train_epochs": st.number_input(
                LABELS["num_train_epochs"],
                min_value=0.01,
                value=float(state.default("num_train_epochs")),
                step=1.0,
                key="num_train_epochs",
                help="`num_train_epochs`: how often all of it is seen.",
                **URL,
            ),
        }


def pricing() -> dict[str, Any]:
    """How the cards are paid for, and the terms that this way to pay has."""
    with group("pricing", "Price", "payments"):
        kind = choice("pricing", "`pricing.kind`: rented by the hour, spot, by the month, or owned.")
        if kind == "owned":
            return {"pricing": kind, **_owned()}
        own = amount("usd_per_gpu_hour", "`usd_per_gpu_hour`: USD an hour of one card.", 0.0, 0.05)
        return {
            "pricing": kind,
            "usd_per_gpu_hour": own,
            "provider": _provider(own is not None),
            **(_spot() if kind == "spot" else {}),
        }


def _provider(disabled: bool) -> str | None:
    return st.selectbox(
        LABELS["provider"],
        providers(),
        index=None,
        key="provider",
        placeholder="the cheapest",
        help="`provider`: of the price list; left open, the cheapest.",
        filter_mode="contains",
        disabled=disabled,
        **URL,
    )


def _spot() -> dict[str, Any]:
    text = "`restart_allowance`: share of hours lost to interruptions; left open, the default with its source."
    return {"restart_allowance": amount("restart_allowance", text, 0.0, 0.05)}


def _owned() -> dict[str, Any]:
    """Terms of owned cards; those left open take the defaults of data/ownership.csv."""
    terms = (
        ("purchase_price_usd", 0.0, 100.0),
        ("useful_life_years", 0.01, 0.5),
        ("power_w", 0.0, 10.0),
        ("electricity_usd_per_kwh", 0.0, 0.01),
        ("utilization", 0.001, 0.05),
    )
    return {
        key: amount(key, f"`{key}`: {state.description(key)}; may be left open.", least, step)
        for key, least, step in terms
    }
