"""What a person reads of time and money: every price with its date and source, old ones marked."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from planner.answer import Plan
from planner.catalog import find_gpu
from planner.cost.age import STALE_DAYS, age_text, is_indicative
from planner.cost.fields import Speed, money_fields
from planner.estimate import DOES_NOT_FIT_NOTE, estimate
from planner.report import comparison_table
from planner.report_money import energy, figures_of, hours, place_text, time_and_money, usd
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
    assert run.startswith("The run takes 10 h (8 h to 12.5 h)") and "3.10 USD (2.48 USD to 3.87" in run
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


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dataset": {"num_examples": 10, "mean_length": 512}, "padding": "padded"}, "take 2 times as long"),
        ({"dataset": {"num_examples": 10, "mean_length": 2048}}, "longer than max_length 1024"),
    ],
)
def test_what_the_count_of_tokens_leaves_out_is_noted(fields: dict[str, object], said: str) -> None:
    _, plan = priced(Speed(1000, 800, 1250), **fields)
    assert any(note.startswith("dataset: ") and said in note for note in plan.notes)


def test_a_table_of_plans_has_the_figures_that_any_of_them_has() -> None:
    speed = Speed(1000, 800, 1250)
    timed = priced(speed, dataset={"num_tokens": 3_600_000})[1]
    untimed = priced(None, gpu="rtx-2080-ti")[1]
    assert figures_of([untimed]) == {}
    found = figures_of([timed, untimed])
    assert found == {"hours": ["1.0", ""], "USD": ["0.31", ""], "USD/M tokens": ["0.086", ""]}
    table = comparison_table([timed, untimed])
    assert [column.heading for column in table.columns][-3:] == list(found)
    assert [row[-3:] for row in table.rows] == [("1.0", "0.31", "0.086"), ("", "", "")]


def test_what_does_not_fit_is_told_as_if_it_did() -> None:
    _, plan = priced(Speed(1000, 800, 1250), dataset={"num_tokens": 10**7})
    timed = plan.model_copy(update={"step_seconds": 1.0, "verdict": "does not fit"})
    step, run, _ = time_and_money(timed, TODAY)
    assert step.startswith("If it fitted, a step would take ")
    assert run.startswith("The run would take ") and " would cost " in run
    assert figures_of([timed]) == {}
    asked = {"model": "llama-3.1-8b", "method": "full", "gpu": "rtx-4090"}
    assert DOES_NOT_FIT_NOTE in estimate(parse_request(asked)).notes
    assert DOES_NOT_FIT_NOTE not in estimate(parse_request(asked | {"method": "qlora"})).notes


def test_a_dataset_of_less_than_one_step_is_noted() -> None:
    fields = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 3, "max_length": 100}
    shorter, whole = (priced(Speed(1000, 800, 1250), dataset={"num_tokens": n}, **fields)[1] for n in (599, 600))
    assert any("599 tokens are less than the 600 of one step" in note for note in shorter.notes)
    assert not any("of one step" in note for note in whole.notes)


def test_more_cards_than_a_machine_has_are_to_be_spread() -> None:
    fields = {"gpu": "h100-sxm", "num_gpus": 12, "num_nodes": 1, "parallelism": {"strategy": "ddp"}}
    plan = estimate(parse_request({"model": "llama-3.2-1b", "method": "lora"} | fields))
    assert any("12 x H100 SXM5 80 GB is known: say on how many machines" in note for note in plan.notes)


def test_owned_cards_say_what_they_rest_on() -> None:
    _, plan = priced(Speed(1000, 800, 1250), dataset={"num_tokens": 10**9}, pricing={"kind": "owned"})
    assert plan.price is not None and place_text(plan.price) == "owned cards"
    assert any("1,599 USD written off over 21,900 hours of work" in note for note in plan.notes)
    assert any("cheaper than renting at vast for 0.31 USD an hour after 9," in note for note in plan.notes)
    _, dear = priced(
        Speed(1000, 800, 1250),
        dataset={"num_tokens": 10**9},
        pricing={"kind": "owned", "purchase_price_usd": 10**6},
    )
    assert any("dearer than renting at vast" in note for note in dear.notes)


def test_old_and_undated_prices_are_marked() -> None:
    price = priced()[1].price
    assert price is not None
    fresh, stale = (replace(price, as_of=TODAY - timedelta(days=STALE_DAYS + more)) for more in (0, 1))
    undated = replace(price, as_of=None, date_confidence="undated", collected=date(2026, 11, 21))
    assert age_text(fresh, TODAY) == str(fresh.as_of)
    assert age_text(stale, TODAY) == f"{stale.as_of}, over {STALE_DAYS} days old"
    assert age_text(undated, TODAY) == "no date, seen 2026-11-21: indicative"
    assert age_text(replace(undated, date_confidence="old", collected=None), TODAY) == "old, no date: indicative"
    assert [is_indicative(p, TODAY) for p in (fresh, stale, undated)] == [False, True, True]


def test_amounts_and_hours_keep_their_digits() -> None:
    said = ["0 USD", "0.0031 USD", "0.50 USD", "12.40 USD", "1,234 USD"]
    assert [usd(x) for x in (0, 0.00312, 0.5, 12.4, 1234.5)] == said
    assert [hours(x) for x in (0.001, 0.25, 5, 240, 2400)] == ["3.6 s", "15 min", "5 h", "240 h", "100 days"]
    assert [hours(x * 8760) for x in (2.9, 80.45, 1234)] == ["1,058 days", "80.5 years", "1,234 years"]
    assert [energy(x) for x in (0.004, 999, 1500, 8.39e6, 5e9)] == [
        "0.004 kWh",
        "999 kWh",
        "1.5 MWh",
        "8.39 GWh",
        "5,000 GWh",
    ]
