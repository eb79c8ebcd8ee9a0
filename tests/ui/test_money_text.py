"""Hours and USD in words, and the part of the Fit page that shows them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from planner.answer import Plan, Price
from ui import money_text as words

PRICE = Price(
    provider="aws",
    instance="p5.48xlarge",
    region="us-east-1",
    pricing="spot",
    usd_per_hour=12.5,
    gpus=8,
    instances=1,
    as_of=date(2026, 7, 20),
    date_confidence="dated",
    source="https://example.com",
    collected=date(2026, 7, 21),
)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.001, "3.6 s"), (0.5, "30 min"), (2.25, "2.25 h"), (500, "500 h"), (2400, "100 days")],
)
def test_hours_are_written_in_the_unit_that_people_use(value: float, said: str) -> None:
    assert words.hours(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(0.0123, "0.012 USD"), (1.5, "1.50 USD"), (12345.6, "12,346 USD"), (0.0, "0 USD")]
)
def test_money_has_cents_where_they_matter(value: float, said: str) -> None:
    assert words.usd(value) == said


def test_a_price_says_what_it_is_for_and_how_old_it_is() -> None:
    words_of_it = "12.50 USD an hour for 8 GPUs, spot, aws, p5.48xlarge, us-east-1; price of 2026-07-20"
    assert words.price_line(PRICE, date(2026, 8, 1)) == f"{words_of_it}, [source](https://example.com)"
    assert (
        words.price_line(PRICE, date(2027, 8, 1)) == f"{words_of_it}, over 90 days old, [source](https://example.com)"
    )
    own = words.price_line(replace(PRICE, pricing="owned", provider="owned", region=""), date(2026, 8, 1))
    assert own.startswith("12.50 USD an hour for 8 GPUs, owned, p5.48xlarge; ")
    undated = replace(PRICE, as_of=None, date_confidence="undated", note="by the card")
    assert words.price_line(undated, date(2026, 8, 1)).endswith(
        "; no date, seen 2026-07-21: indicative, [source](https://example.com); by the card"
    )


SECTION = """
from ui.money_sections import time_and_money
import streamlit as st
time_and_money(st.session_state["plan"])
"""


def shown(plan: Plan) -> AppTest:
    app = AppTest.from_string(SECTION)
    app.session_state["plan"] = plan
    return app.run()


def test_nothing_is_shown_where_nothing_is_known(make_plan: Callable[..., Plan]) -> None:
    app = shown(make_plan())
    assert not app.exception
    assert not app.metric
    assert not app.subheader


def test_hours_and_money_stand_with_their_bands(make_plan: Callable[..., Plan]) -> None:
    known: dict[str, Any] = {
        "step_seconds": 2.0,
        "step_seconds_low": 1.5,
        "step_seconds_high": 3.0,
        "tokens_per_second": 512.0,
        "train_hours": 10.0,
        "train_hours_low": 8.0,
        "train_hours_high": 15.0,
        "cost_usd": 125.0,
        "cost_usd_low": 100.0,
        "cost_usd_high": 187.5,
        "mfu": 0.4,
        "price": PRICE,
    }
    app = shown(make_plan(**known))
    assert [(metric.label, metric.value, metric.delta) for metric in app.metric] == [
        ("Training", "10 h", "8 h to 15 h"),
        ("Costs", "125 USD", "100 USD to 188 USD"),
        ("One step", "2 s", "1.5 s to 3 s"),
        ("Tokens a second", "512", ""),
    ]
    assert "40% of the card's matrix rate" in app.caption[-1].value


def test_without_a_dataset_a_million_tokens_has_a_price(make_plan: Callable[..., Plan]) -> None:
    app = shown(make_plan(verdict="fits", step_seconds=2.0, usd_per_million_tokens=0.5, price=PRICE))
    assert [metric.label for metric in app.metric] == ["One step", "A million tokens"]
    assert "Dataset, in the sidebar" in app.caption[0].value


def test_what_does_not_fit_has_its_time_under_a_condition(make_plan: Callable[..., Plan]) -> None:
    app = shown(make_plan(verdict="does not fit", step_seconds=2.0, price=PRICE))
    assert "It does not fit" in app.caption[0].value


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({}, {}, None),
        (
            {"tokens_per_second": 400.0},
            {"tokens_per_second": 300.0},
            "Estimated: 1.3 times as long for the same tokens",
        ),
        ({}, {"price": PRICE}, "Estimated: 12.50 USD an hour"),
        ({"price": PRICE}, {"price": PRICE}, None),
        ({}, {"train_hours": 2.25, "cost_usd": 12.0, "price": PRICE}, "Estimated: 2.25 h of training, 12.00 USD"),
    ],
)
def test_what_a_change_costs_is_said_as_far_as_it_is_known(
    make_plan: Callable[..., Plan], before: dict[str, Any], after: dict[str, Any], said: str | None
) -> None:
    assert words.change(make_plan(**before), make_plan(**after)) == said
