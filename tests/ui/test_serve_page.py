"""The Serve page in AppTest: first visit, links, refusals, and the question carried from page to page."""

import shlex
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from planner.cli.root import tunebudget
from planner.errors import PlannerError
from planner.serving.limits import serving_with_limits
from planner.units import format_gib
from ui import serve_state, text

Visit = Callable[..., AppTest]


@pytest.fixture
def open_serve(open_page: Visit) -> Visit:
    """The Serve page with these URL parameters."""

    def visit(**query: str) -> AppTest:
        app = open_page(**query)
        return app.switch_page("ui/pages/serve.py").run()

    return visit


def inputs(app: AppTest) -> dict[str, Any]:
    return {key: app.session_state[key] for key in serve_state.defaults() if key in app.session_state}


def check_answer(app: AppTest) -> None:
    """The page shows what the planner says to the inputs' question."""
    assert not app.exception
    assert not app.error
    found = serving_with_limits(serve_state.request_from_values(inputs(app)))
    assert app.subheader[0].value == text.verdict_heading(found.verdict)
    assert app.metric[0].value == format_gib(found.total_bytes)


def test_a_first_visit_is_answered(open_serve: Visit) -> None:
    app = open_serve()
    check_answer(app)
    assert len(app.get("plotly_chart")) == 2


@pytest.mark.parametrize("base", serve_state.BASES)
def test_every_base(open_serve: Visit, base: str) -> None:
    app = open_serve()
    app.selectbox(key="base").set_value(base).run()
    check_answer(app)


def test_without_tenants_there_is_no_other_way(open_serve: Visit) -> None:
    app = open_serve()
    app.number_input(key="tenants").set_value(0).run()
    check_answer(app)
    assert "lora_r" not in [number.key for number in app.number_input]
    assert len(app.get("plotly_chart")) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "google-bert/bert-base-uncased"}, "does not generate text"),
        ({"model": "google/gemma-2-9b", "kv_cache_dtype": "int8"}, "transformers quantizes no cache"),
    ],
)
def test_a_refusal_is_one_line(open_serve: Visit, changes: dict[str, str], said: str) -> None:
    app = open_serve(**changes)
    assert [said in error.value for error in app.error] == [True]
    assert not app.exception


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "/etc/passwd"}, "opens no files"),
        ({"lora_r": 0}, "greater than or equal to 1"),
        ({"base": "GPTQ, 4 bits", "kv_cache_dtype": "int4", "engine": "vllm"}, "int4 of vLLM is not modelled"),
    ],
)
def test_inputs_that_break_a_rule(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PlannerError, match=said):
        serve_state.request_from_values(serve_state.defaults() | changes)


def test_the_question_comes_along_and_goes_back(open_page: Visit) -> None:
    app = open_page(model="Qwen/Qwen3-4B", gpu="h100-sxm", lora_r="64")
    app.switch_page("ui/pages/serve.py").run()
    assert inputs(app)["model"] == "Qwen/Qwen3-4B" and inputs(app)["lora_r"] == 64
    check_answer(app)
    app.selectbox(key="gpu").set_value("a100-80gb-sxm").run()
    app.number_input(key="tenants").set_value(30).run()
    app.switch_page("ui/pages/fit.py").run()
    assert app.session_state["gpu"] == "a100-80gb-sxm" and app.session_state["model"] == "Qwen/Qwen3-4B"
    app.switch_page("ui/pages/serve.py").run()
    assert inputs(app)["tenants"] == 30


def test_the_command_gives_the_same_answer() -> None:
    values = serve_state.defaults() | {"base": "4 bits", "target_modules": "q_proj, v_proj", "kv_cache_dtype": "fp8"}
    request = serve_state.request_from_values(values)
    command = shlex.split(serve_state.cli_command(values, request))
    result = CliRunner().invoke(tunebudget, [*command[1:], "--json"])
    found = serving_with_limits(request)
    assert f'"total_bytes": {found.total_bytes},' in result.stdout


def test_the_link_holds_what_differs() -> None:
    values = serve_state.defaults() | {"tenants": 3, "autocast_adapter_dtype": False}
    assert serve_state.query(values) == {"tenants": "3", "autocast_adapter_dtype": "false"}


def test_the_keys_are_frozen() -> None:
    plain = "max_num_seqs max_model_len max_num_batched_tokens kv_cache_dtype engine dtype num_tokens"
    assert list(serve_state.defaults()) == [
        *"model gpu lora_r target_modules autocast_adapter_dtype base tenants".split(),
        *plain.split(),
    ]
