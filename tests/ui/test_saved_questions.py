"""Questions kept under a name: saved, opened, forgotten; and what the sidebar's stack does to the inputs."""

from collections.abc import Callable
from typing import Any

from streamlit.testing.v1 import AppTest

Visit = Callable[..., AppTest]


def button(app: AppTest, label: str) -> Any:
    return next(found for found in app.button if found.label == label)


def test_a_saved_question_is_opened_again_as_it_was(open_page: Visit) -> None:
    app = open_page(method="qlora", max_length="2048")
    app.text_input(key="saved_name").set_value("small one").run()
    button(app, "Save").click().run()
    app.get_by_key("method").set_value("full").run()
    app.number_input(key="max_length").set_value(512).run()
    button(app, "small one").click().run()
    assert not app.exception
    assert (app.session_state["method"], app.session_state["max_length"]) == ("qlora", 2048)
    app.button(key="forget_0").click().run()
    assert not [found for found in app.button if found.label == "small one"]


def test_a_question_without_a_name_gets_one(open_page: Visit) -> None:
    app = open_page()
    button(app, "Save").click().run()
    assert button(app, "Llama-3.1-8B lora on rtx-4090")


def test_choosing_a_stack_sets_the_inputs_to_its_values(open_page: Visit) -> None:
    app = open_page()
    app.selectbox(key="stack").set_value("trl").run()
    assert not app.exception
    assert app.session_state["gradient_checkpointing"] is True
    assert app.session_state["loss"] == "chunked"
    app.selectbox(key="stack").set_value("not named").run()
    assert app.session_state["gradient_checkpointing"] is False
    assert app.session_state["loss"] == "full"


def test_a_stack_of_the_link_leaves_what_the_link_says(open_page: Visit) -> None:
    app = open_page(stack="trl", loss="chunked")
    assert not app.exception
    assert not app.error
    assert app.session_state["gradient_checkpointing"] is False
    assert any("--no-gradient-checkpointing" in code.value for code in app.code)
