"""Questions side by side: which inputs change, what the comparison says, its picture and tables, and the page."""

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from planner.answer import CATEGORIES, Plan
from planner.estimate import estimate
from planner.units import GIB
from ui import state
from ui.compare import MAX_VARIANTS, answered, headline, variants
from ui.compare_charts import compare_alt, compare_figure
from ui.compare_tables import compare_frame, parts_frame

PlanMaker = Callable[..., Plan]
Visit = Callable[..., AppTest]
SMALL = {"model": "HuggingFaceTB/SmolLM2-135M", "max_length": 256}


def test_a_comparison_changes_one_input_and_leaves_the_rest() -> None:
    found = dict(variants("GPUs", SMALL, ["l40s", "h100-sxm"], {}))
    assert {name: values["gpu"] for name, values in found.items()} == {"l40s": "l40s", "h100-sxm": "h100-sxm"}
    assert all({**values, "gpu": ""} == {**state.defaults(), **SMALL, "gpu": ""} for values in found.values())


def test_a_stack_comes_with_its_own_values_in_the_place_of_another_one_s() -> None:
    held = {"stack": "trl", **state.change_of_stack({}, state.NO_STACK, "trl", "lora"), "method": "lora"}
    found = dict(variants("stacks", held, ["trl", state.NO_STACK], {}))
    assert [found[name]["loss"] for name in ("trl", state.NO_STACK)] == ["chunked", "full"]
    assert not found[state.NO_STACK]["gradient_checkpointing"]


def test_saved_questions_that_were_forgotten_are_left_out_and_there_are_not_too_many() -> None:
    saved = {str(number): {"max_length": 100 + number} for number in range(20)}
    assert variants("saved questions", {}, ["x", "3"], saved) == [("3", state.defaults() | {"max_length": 103})]
    assert len(variants("saved questions", {}, list(saved), saved)) == MAX_VARIANTS


def test_a_refusal_is_kept_beside_the_answers() -> None:
    found = [answered(name, values, estimate) for name, values in variants("GPUs", SMALL, ["rtx-4090", "rtx-9"], {})]
    assert [variant.plan is not None for variant in found] == [True, False]
    assert "not in the catalogue" in found[1].error


@pytest.mark.parametrize(
    ("verdicts", "said"),
    [
        (("fits", "fits", "does not fit"), "a, b fit; b needs least"),
        (("fits", "tight", "does not fit"), "a fits"),
        (("does not fit", "tight", "does not fit"), "None fits; b may"),
        (("does not fit", "does not fit", "does not fit"), "None fits; b needs least"),
        (("fits", "fits", "fits"), "All 3 fit; b needs least"),
    ],
)
def test_the_headline_says_which_fit(make_plan: PlanMaker, verdicts: tuple[Any, ...], said: str) -> None:
    needs = (18, 10, 30)
    plans = [
        make_plan(verdict=verdict, device_bytes=need * GIB, headroom_bytes=(40 - need) * GIB, usable_bytes=40 * GIB)
        for verdict, need in zip(verdicts, needs, strict=True)
    ]
    assert headline(list(zip("abc", plans, strict=True))) == said


def test_of_several_cards_the_smallest_is_named(make_plan: PlanMaker) -> None:
    cards = [make_plan(verdict="fits", usable_bytes=size * GIB, headroom_bytes=(size - 18) * GIB) for size in (80, 24)]
    assert headline([("large", cards[0]), ("small", cards[1])]) == "All 2 fit; small is the smallest card"


def test_each_bar_sums_to_its_plan_and_has_its_card_s_tick(make_plan: PlanMaker) -> None:
    found = [("one", make_plan()), ("two", make_plan(usable_bytes=24 * GIB, headroom_bytes=6 * GIB, logits_bytes=0))]
    figure = compare_figure(found)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert len(bars) == len(CATEGORIES) + 1
    assert sum(bar.x[0] for bar in bars) == 18
    ticks = next(trace for trace in figure.data if trace.name == "card offers")
    assert list(ticks.x) == [16, 24]
    assert "one 18.0 GiB of 16.0 GiB" in compare_alt(found)


def test_without_cards_there_is_no_tick(make_plan: PlanMaker) -> None:
    bare = make_plan(usable_bytes=None, headroom_bytes=None, verdict=None, gpu=None)
    assert "card offers" not in [trace.name for trace in compare_figure([("one", bare)]).data]
    assert "card offers" not in compare_frame([("one", bare)]).columns


def test_differences_are_held_to_the_first_row(make_plan: PlanMaker) -> None:
    other = make_plan(device_bytes=27 * GIB, headroom_bytes=-11 * GIB)
    frame = compare_frame([("one", make_plan()), ("two", other)])
    assert list(frame["to the first"]) == [0, 9]
    assert list(frame["to the first, share"]) == [0, 0.5]
    assert "hours" not in frame.columns


def test_parts_sum_to_what_is_on_the_card(make_plan: PlanMaker) -> None:
    column = parts_frame([("one", make_plan())]).set_index("part")["one"]
    assert column.drop("on the card").sum() == column["on the card"] == 18


@pytest.mark.parametrize("by", ["methods", "GPUs", "stacks"])
def test_the_page_answers_each_comparison(open_page: Visit, by: str) -> None:
    app = open_page().switch_page("ui/pages/compare.py").run()
    app.get_by_key("by").set_value(by).run()
    assert not app.exception
    assert not app.warning
    assert len(app.dataframe[0].value) >= 3
    assert len(app.get("plotly_chart")) == 1


def test_one_of_the_questions_is_opened_on_the_fit_page(open_page: Visit) -> None:
    app = open_page(max_length="2048").switch_page("ui/pages/compare.py").run()
    app.button(key="fit_2").click().run()
    assert not app.exception
    assert (app.session_state["method"], app.session_state["max_length"]) == ("qlora", 2048)
    assert "QLoRA, 1 x 2,048 tokens" in app.markdown[0].value


def test_saved_questions_are_compared(open_page: Visit) -> None:
    app = open_page()
    app.text_input(key="saved_name").set_value("one").run()
    next(button for button in app.button if button.label == "Save").click().run()
    app.switch_page("ui/pages/compare.py").run()
    app.get_by_key("by").set_value("saved questions").run()
    assert not app.exception
    assert list(app.dataframe[0].value["question"]) == ["one"]


def test_without_saved_questions_the_page_says_how_to_save_one(open_page: Visit) -> None:
    app = open_page().switch_page("ui/pages/compare.py").run()
    app.get_by_key("by").set_value("saved questions").run()
    assert not app.exception
    assert "No question is saved yet" in app.info[0].value
