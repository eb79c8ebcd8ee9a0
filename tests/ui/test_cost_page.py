"""The Cost page in AppTest: the answer first, rent or buy, every card with a price, searches; bad input is one line."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from planner.answer import Plan
from planner.catalog import find_gpu, list_gpus, list_prices
from planner.cost.break_even import BreakEven
from planner.cost.fields import Speed, money_fields
from planner.cost.hpo import Search, SearchCost
from planner.estimate import estimate
from planner.method_search import searches
from planner.pricelists.contracts import take_in
from planner.schema import PlanRequest, parse_request
from ui import cost, cost_charts, cost_tables, cost_text, state
from ui.answers import plan_of
from ui.money_text import hours, usd

Visit = Callable[..., AppTest]
TODAY = date(2026, 11, 24)


@pytest.fixture
def open_cost(open_page: Visit) -> Visit:
    """The Cost page with these URL parameters."""

    def visit(**query: str) -> AppTest:
        app = open_page(**query)
        app.switch_page("ui/pages/cost.py")
        return app.run()

    return visit


def asked(**fields: object) -> PlanRequest:
    base = {"model": "llama-3.2-1b", "method": "lora", "gpu": "rtx-4090", "dataset": {"num_tokens": 3_600_000}}
    return parse_request(base | fields)


def timed(request: PlanRequest) -> Plan:
    """The plan at 1,000 tokens a second on any card: a million tokens take 1,000 s."""
    money, _ = money_fields(request, find_gpu(str(request.gpu)), Speed(1000, 800, 1250))
    return estimate(request).model_copy(update=money)


def test_the_page_answers_at_a_first_visit(open_cost: Visit) -> None:
    app = open_cost()
    assert not app.exception and not app.error
    assert app.title[0].value == "What will it cost?"
    plan = plan_of(asked(model="meta-llama/Llama-3.1-8B", dataset=None))
    assert app.subheader[0].value == cost_text.heading(plan)
    assert any(
        "price of 2026-07-20" in caption.value and "[source](https://" in caption.value for caption in app.caption
    )


def test_a_size_of_the_dataset_is_one_click(open_cost: Visit) -> None:
    app = open_cost()
    app.button(key="tokens_100000000").click().run()
    assert not app.exception
    assert app.session_state["num_tokens"] == 10**8
    assert not [button for button in app.button if str(button.key).startswith("tokens_")]


def test_hours_and_money_stand_first_with_their_bands(open_cost: Visit) -> None:
    query = {"method": "qlora", "gradient_checkpointing": "true", "num_tokens": "100000000"}
    app = open_cost(**query)
    plan = estimate(
        state.request_from_values(state.defaults() | {**query, "gradient_checkpointing": True, "num_tokens": 10**8})
    )
    assert plan.train_hours is not None and plan.cost_usd is not None and plan.price is not None
    assert plan.cost_usd == pytest.approx(plan.train_hours * plan.price.usd_per_hour)
    assert app.subheader[0].value == f"{hours(plan.train_hours)}, {usd(plan.cost_usd)}"
    assert [(m.label, m.delta) for m in app.metric[:2]] == [
        ("Training takes", f"{hours(plan.train_hours_low or 0)} to {hours(plan.train_hours_high or 0)}"),
        ("It costs", f"{usd(plan.cost_usd_low or 0)} to {usd(plan.cost_usd_high or 0)}"),
    ]
    searched = next(f.value for f in app.dataframe if "schedule" in f.value.columns)
    assert set(searched["method"]) <= {"full", "lora", "qlora"} and searched["USD"].gt(0).all()


def test_every_card_has_a_price_with_date_and_source_or_is_named(open_cost: Visit) -> None:
    app = open_cost(num_tokens="1000000")
    frame = next(f.value for f in app.dataframe if "price of" in f.value.columns)
    assert frame["source"].str.startswith("https://").all() and frame["price of"].str.len().gt(0).all()
    (unpriced,) = (c.value for c in app.caption if c.value.startswith("No price is known for"))
    assert set(frame["gpu"]) | {key for key in (g.key for g in list_gpus()) if key in unpriced} == {
        gpu.key for gpu in list_gpus()
    }


def test_a_card_of_unknown_price_asks_for_it_and_then_answers(open_cost: Visit) -> None:
    app = open_cost(gpu="h100-sxm")
    assert [info.value for info in app.info if "launch" in info.value] == [
        "No launch price of H100 SXM5 80 GB is known: give one above."
    ]
    app.number_input(key="buy_price_usd").set_value(30_000.0).run()
    assert not app.exception
    assert any("Buying" in markdown.value for markdown in app.markdown)
    assert app.get("plotly_chart")


@pytest.mark.parametrize("kind", ["on_demand", "spot", "reserved", "owned"])
def test_every_way_to_pay_answers(open_cost: Visit, kind: str) -> None:
    app = open_cost(pricing=kind, num_tokens="1000000")
    assert not app.exception and not app.error
    if kind == "reserved":
        assert any("no reserved price" in markdown.value.lower() for markdown in app.markdown)


def test_a_contract_taken_in_meanwhile_is_in_force(open_cost: Visit, tmp_path: Path) -> None:
    app = open_cost(num_tokens="1000000")
    own = tmp_path / "own.csv"
    own.write_text("provider,gpu,usd_per_hour,as_of\nacme,rtx-4090,0.01,2026-11-01\n")
    take_in(own, TODAY)
    app.run()
    assert any("acme" in caption.value and "price of 2026-11-01" in caption.value for caption in app.caption)
    assert "acme" in next(box for box in app.selectbox if box.key == "provider").options


def test_a_broken_price_list_is_one_line(open_cost: Visit, data_folder: Path) -> None:
    (data_folder / "prices").mkdir()
    (data_folder / "prices" / "contracts-1.csv").write_text("provider\nacme\n")
    app = open_cost()
    assert not app.exception
    assert ["contracts-1.csv" in error.value for error in app.error] == [True]


def test_bad_input_is_one_line(open_cost: Visit) -> None:
    app = open_cost(max_length="999999999999")
    assert not app.exception
    assert ["Length in tokens" in error.value for error in app.error] == [True]
    assert not app.metric


# -- what the page works out -------------------------------------------------------------------------------------------


def test_cards_that_fit_come_first_and_the_cheapest_of_them_leads() -> None:
    found, unpriced = cost.options(asked(method="full", max_length=4096), timed)
    fits = [option.plan.verdict == "fits" for option in found]
    assert fits == sorted(fits, reverse=True) and True in fits and False in fits
    costs = [option.plan.cost_usd for option, does in zip(found, fits, strict=True) if does]
    assert costs == sorted(costs, key=float)
    best = cost.cheapest_that_fits(found)
    assert best is found[0] and "rtx-2080-ti" in unpriced


@pytest.mark.parametrize("own", [{"kind": "owned", "purchase_price_usd": 1}, {"usd_per_gpu_hour": 0.001}], ids=str)
def test_the_price_of_ones_own_cards_is_not_taken_for_others(own: dict[str, object]) -> None:
    found, _ = cost.options(asked(pricing=own), timed)
    listed = {row.provider for row in list_prices()}
    assert found and {option.plan.price.provider for option in found if option.plan.price} <= listed


def test_the_table_has_a_row_a_card() -> None:
    found, _ = cost.options(asked(), timed)
    frame = cost_tables.option_frame(found, TODAY)
    assert list(frame["gpu"]) == [option.gpu.key for option in found]
    row = frame[frame["gpu"] == "rtx-4090"].iloc[0]
    assert row["hours"] == pytest.approx(1) and row["USD"] == pytest.approx(row["USD/h"])
    assert row["price of"] == "2026-07-20, over 90 days old"


def test_the_picture_crosses_where_the_sentence_says() -> None:
    found = cost.rent_or_buy(asked(), purchase_price_usd=1000.0, utilization=0.5)
    assert isinstance(found, BreakEven) and found.hours is not None and found.pays_off
    figure = cost_charts.break_even_figure(found, found.hours / 2)
    rented, owned = figure.data
    at_end = [trace.y[-1] for trace in (rented, owned)]
    assert at_end[0] > at_end[1] and rented.y[0] == 0 and owned.y[0] == pytest.approx(1000)
    assert figure.layout.annotations[0].x == found.hours and len(figure.layout.shapes) == 1
    said = cost_text.break_even_line(found, 5.0)
    assert f"after {found.hours:,.0f} hours" in said and "This run takes 5 h" in said
    assert f"{found.hours:,.0f} hours" in cost_charts.break_even_alt(found)


def test_what_never_pays_says_so() -> None:
    dear = cost.rent_or_buy(asked(), purchase_price_usd=1e6)
    hungry = cost.rent_or_buy(asked(), electricity_usd_per_kwh=50.0)
    assert isinstance(dear, BreakEven) and "Buying does not pay" in cost_text.break_even_line(dear, None)
    assert (
        "do not cross" in cost_charts.break_even_alt(dear)
        and not cost_charts.break_even_figure(dear, None).layout.annotations
    )
    assert isinstance(hungry, BreakEven) and "Buying never pays" in cost_text.break_even_line(hungry, None)


def test_searches_are_worked_out_for_each_method_that_fits() -> None:
    found = searches(asked(model="llama-3.1-8b", gradient_checkpointing=True), Search(4, 0.5), timed)
    by_method = {one.method: one.found for one in found}
    assert by_method["full"] == "full does not fit, so it has no trials"
    qlora = by_method["qlora"]
    assert isinstance(qlora, SearchCost) and qlora.schedules[0].hours == pytest.approx(4 * 0.5)
    frame = cost_tables.search_frame(found)
    assert "full" not in set(frame["method"])
    assert frame[frame["method"] == "qlora"]["USD"].notna().all()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"gpu": "h100-sxm", "pricing": "owned"}, "give one under Price, in the sidebar."),
        ({"gpu": "apple-m4-max"}, "No price of renting this card is known: give your own under Price, in the sidebar."),
    ],
)
def test_what_cannot_be_compared_says_where_on_the_page_to_change_it(
    open_cost: Visit, query: dict[str, str], words: str
) -> None:
    app = open_cost(**query)
    assert any(info.value.endswith(words) for info in app.info)
    assert not any("--" in info.value for info in app.info)
