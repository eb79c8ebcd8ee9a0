"""What a person reads of time and money: every price with its date and source, old ones marked."""

from datetime import date, timedelta

import pytest

from planner.answer import Plan
from planner.catalog import find_gpu
from planner.cost.age import STALE_DAYS, age_text, is_indicative
from planner.cost.fields import Speed, money_fields
from planner.estimate import estimate
from planner.report_money import hours, place_text, time_and_money, usd
from planner.schema import PlanRequest, parse_request

TODAY = date(2026, 11, 24)
#: What a plan says of time by itself: here the speed is given.
TIMED = ("step_seconds", "usd_per_million_tokens", "train_hours", "energy_kwh", "cost_usd", "cost_usd_low")


def priced(speed: Speed | None = None, **fields: object) -> tuple[PlanRequest, Plan]:
    request = parse_request({"model": "llama-3.2-1b", "method": "lora", "gpu": "rtx-4090"} | fields)
    money, notes = money_fields(request, find_gpu(str(request.gpu)), speed)
    plan = estimate(request)
    return request, plan.model_copy(update=dict.fromkeys(TIMED) | money | {"notes": tuple(notes)})


def test_without_a_speed_the_price_alone_is_told() -> None:
    _, plan = priced()
    (line,) = time_and_money(plan, TODAY)
    assert plan.price is not None and plan.cost_usd is None
    assert line.startswith(
        "Price: 0.31 USD an hour, on demand at vast, 1 card in US (2026-07-20, over 90 days old; https://"
    )


def test_the_run_has_hours_energy_and_cost_with_their_ends() -> None:
    speed = Speed(expected=1000, slow=800, fast=1250)
    _, plan = priced(speed, dataset={"num_tokens": 3_600_000, "num_train_epochs": 10})
    assert plan.train_hours == pytest.approx(10) and plan.price is not None
    assert (plan.train_hours_low, plan.train_hours_high) == (pytest.approx(8), pytest.approx(12.5))
    assert plan.cost_usd == pytest.approx(10 * plan.price.usd_per_hour)
    assert (plan.cost_usd_low, plan.cost_usd_high) == (
        pytest.approx(8 * plan.price.usd_per_hour),
        pytest.approx(12.5 * plan.price.usd_per_hour),
    )
    assert plan.usd_per_million_tokens == pytest.approx(plan.price.usd_per_hour / 3.6)
    run, price = time_and_money(plan, TODAY)
    assert run.startswith("The run takes 10.0 hours (8.0 hours to 12.5 hours)") and "3.10 USD (2.48 USD to 3.87" in run
    assert price.startswith("Price: ")


def test_reserved_months_are_paid_whole_and_noted() -> None:
    _, plan = priced(Speed(1000, 800, 1250), dataset={"num_tokens": 10**9}, pricing={"kind": "reserved"})
    assert plan.cost_usd is None and plan.price is None
    assert plan.train_hours == pytest.approx(10**9 / 1000 / 3600)
    assert any("no reserved price" in note for note in plan.notes)
    assert next(time_and_money(plan, TODAY)).endswith("nothing is priced.")


def test_a_card_without_a_price_says_so_in_the_plan() -> None:
    plan = estimate(parse_request({"model": "llama-3.2-1b", "method": "lora", "gpu": "rtx-2080-ti"}))
    assert plan.price is None and plan.cost_usd is None
    assert any(note.startswith("no on demand price of one machine with 1 x GeForce RTX 2080 Ti") for note in plan.notes)


def test_what_needs_a_card_is_noted_where_none_is_named() -> None:
    plan = estimate(parse_request({"model": "llama-3.2-1b", "method": "lora", "dataset": {"num_tokens": 5}}))
    assert any(note.startswith("dataset: not used: no card is named") for note in plan.notes)


def test_owned_cards_say_what_they_rest_on() -> None:
    _, plan = priced(Speed(1000, 800, 1250), dataset={"num_tokens": 10**9}, pricing={"kind": "owned"})
    assert plan.price is not None and place_text(plan.price) == "owned cards"
    assert any("1,599 USD written off over 21,900 hours of work" in note for note in plan.notes)


def test_old_and_undated_prices_are_marked() -> None:
    fresh, stale = TODAY - timedelta(days=STALE_DAYS), TODAY - timedelta(days=STALE_DAYS + 1)
    assert age_text(fresh, "dated", TODAY) == str(fresh)
    assert age_text(stale, "dated", TODAY) == f"{stale}, over {STALE_DAYS} days old"
    assert age_text(None, "undated", TODAY) == "no date: indicative"
    assert age_text(None, "old", TODAY) == "old, no date: indicative"
    assert [is_indicative(d, "dated", TODAY) for d in (fresh, stale, None)] == [False, True, True]


def test_amounts_and_hours_keep_their_digits() -> None:
    assert [usd(x) for x in (0, 0.00312, 0.5, 12.4, 1234.5)] == [
        "0.00 USD",
        "0.0031 USD",
        "0.50 USD",
        "12.40 USD",
        "1,234 USD",
    ]
    assert [hours(x) for x in (0.25, 5, 240)] == ["15 minutes", "5.0 hours", "240 hours (10.0 days)"]
