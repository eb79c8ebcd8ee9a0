"""The Catalogue page: tables with sources, own models by good, broken and hostile configs, own cards and prices."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from planner.catalog import list_gpus, list_models, list_prices
from planner.estimate import estimate
from planner.schema import parse_request
from ui import links, state
from ui.catalogue_tables import found, gpus_frame, models_frame, prices_frame

Visit = Callable[..., AppTest]
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 256,
}


def catalogue(open_page: Visit, part: str, **query: str) -> AppTest:
    app = open_page(**query).switch_page("ui/pages/catalogue.py").run()
    app.get_by_key("show").set_value(part).run()
    assert not app.exception
    return app


def paste(app: AppTest, content: str, name: str = "mine") -> AppTest:
    app.text_input(key="own_name").set_value(name)
    app.text_area(key="own_text").set_value(content)
    next(button for button in app.button if button.label == "Add the model").click()
    return app.run()


@pytest.mark.parametrize("part", ["models", "GPUs", "prices", "your own"])
def test_each_part_is_shown(open_page: Visit, part: str) -> None:
    app = catalogue(open_page, part)
    assert len(app.dataframe) == (part != "your own")
    assert app.dataframe or len(app.get("form")) == 3 or len(app.subheader) == 3


def test_tables_are_whole_and_each_row_has_its_source() -> None:
    models, gpus = models_frame(list_models()), gpus_frame(list_gpus())
    prices = prices_frame(list_prices(), date(2026, 11, 24))
    assert (len(models), len(gpus), len(prices)) == (len(list_models()), len(list_gpus()), len(list_prices()))
    assert (models["config from"] != "").all()
    assert (gpus["source"] != "").all()
    assert (prices["source"] != "").all()
    assert (prices["price of"] != "").all()


def test_old_prices_are_marked() -> None:
    prices = prices_frame(list_prices(), date(2027, 6, 1))
    dated = prices[prices["days old"].notna()]
    assert dated["price of"].str.contains("days old|no date|old").all()


def test_a_search_finds_every_word_in_any_column() -> None:
    models = models_frame(list_models())
    hits = found(models, "LLAMA 70b")
    assert len(hits)
    assert all("70b" in " ".join(map(str, row)).casefold() for row in hits.itertuples())
    assert len(found(models, "no such words at all")) == 0
    assert len(found(models, "")) == len(models)
    assert len(found(models, "[(.*")) == 0


def test_an_own_model_is_planned_like_any_other(open_page: Visit) -> None:
    app = paste(catalogue(open_page, "your own"), json.dumps(LLAMA))
    assert not app.exception
    assert not app.error
    next(button for button in app.button if button.label == "Ask about this model").click()
    app.run()
    assert not app.exception
    assert not app.error
    assert "mine, LoRA" in app.markdown[0].value
    plan = estimate(parse_request({"model": LLAMA, "method": "lora", "gpu": "rtx-4090"}))
    request = state.request_from_values(
        {"model": "own/mine", "own_model": {**LLAMA, "_name_or_path": "own/mine"}, "method": "lora"}
    )
    assert estimate(request).device_bytes == plan.device_bytes
    assert any("does not travel" in caption.value for caption in app.caption)
    assert any(code.value == "tunebudget plan --request request.json" for code in app.code)


def test_an_own_model_goes_with_its_question_to_other_pages(open_page: Visit) -> None:
    app = paste(catalogue(open_page, "your own"), json.dumps(LLAMA))
    next(button for button in app.button if button.label == "Ask about this model").click()
    app.run()
    app.switch_page("ui/pages/compare.py").run()
    assert not app.exception
    assert not app.warning
    assert len(app.dataframe[0].value) == 3


def test_a_link_to_an_own_model_says_that_it_did_not_travel(open_page: Visit) -> None:
    app = open_page(model="own/mine")
    assert not app.exception
    assert ["added in another visit" in error.value for error in app.error] == [True]


def test_the_request_of_an_own_model_holds_its_config() -> None:
    values = {"model": "own/mine", "own_model": {**LLAMA, "_name_or_path": "own/mine"}}
    request = state.request_from_values(values)
    assert parse_request(json.loads(request.model_dump_json(exclude_unset=True))) == request
    assert links.query(values) == {"model": "own/mine"}


HOSTILE = {
    "not JSON": "{",
    "empty": "   ",
    "a list": "[1]",
    "a number": "1",
    "nested": '{"model_type": "llama", "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "too large": " " * (2**20 + 1),
    "huge numbers": json.dumps({**LLAMA, "hidden_size": 10**400}),
    "long digits": '{"model_type": "llama", "hidden_size": ' + "9" * 10_000 + "}",
    "not a number": '{"model_type": "llama", "hidden_size": NaN}',
    "infinity": '{"model_type": "llama", "num_hidden_layers": Infinity}',
    "negative": json.dumps({**LLAMA, "num_hidden_layers": -1}),
    "too many layers": json.dumps({**LLAMA, "num_hidden_layers": 10**9}),
    "text for a number": json.dumps({**LLAMA, "hidden_size": "64"}),
    "object for a number": json.dumps({**LLAMA, "vocab_size": {"a": 1}}),
    "no model_type": json.dumps({"hidden_size": 64}),
    "unknown model_type": json.dumps({**LLAMA, "model_type": "<script>alert(1)</script>"}),
    "model_type of another kind": json.dumps({**LLAMA, "model_type": ["llama"]}),
    "heads that do not divide": json.dumps({**LLAMA, "num_attention_heads": 7}),
    "layer kinds of another length": json.dumps({**LLAMA, "model_type": "qwen3", "layer_types": ["full_attention"]}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_broken_or_hostile_config_is_one_line(open_page: Visit, content: str) -> None:
    app = paste(catalogue(open_page, "your own"), content)
    assert not app.exception
    kept = "own_models" in app.session_state and app.session_state["own_models"]
    assert len(app.error) == (0 if kept else 1)
    for error in app.error:
        assert "\n" not in error.value
        assert len(error.value) < 1500
    if kept:  # what can be read must be planned, or refused in a line
        next(button for button in app.button if button.label == "Ask about this model").click()
        app.run()
        assert not app.exception
        assert len(app.error) <= 1


def test_there_are_not_too_many_own_models(open_page: Visit) -> None:
    app = catalogue(open_page, "your own")
    for number in range(11):
        paste(app, json.dumps(LLAMA), f"model {number}")
    assert len(app.session_state["own_models"]) == 10
    assert "at most" in app.error[0].value


def test_an_own_card_is_asked_about(open_page: Visit) -> None:
    app = catalogue(open_page, "your own")
    app.number_input(key="own_usable").set_value(44.5)
    app.number_input(key="own_bandwidth").set_value(864.0)
    next(button for button in app.button if button.label == "Ask about this card").click()
    app.run()
    assert not app.exception
    assert not app.error
    assert app.session_state["gpu"] == "own:usable_gib=44.5,mem_bandwidth_gb_s=864"
    assert "own card with 44.5 GiB" in app.markdown[0].value


def test_an_own_price_is_asked_with(open_page: Visit) -> None:
    app = catalogue(open_page, "your own")
    app.number_input(key="own_usd").set_value(0.5)
    next(button for button in app.button if button.label == "Ask with this price").click()
    app.run()
    assert not app.exception
    assert not app.error
    assert app.session_state["usd_per_gpu_hour"] == 0.5


def test_the_question_is_still_there_after_a_look_at_the_catalogue(open_page: Visit) -> None:
    app = catalogue(open_page, "GPUs", method="qlora", max_length="777")
    app.switch_page("ui/pages/fit.py").run()
    assert not app.exception
    assert (app.session_state["method"], app.session_state["max_length"]) == ("qlora", 777)
