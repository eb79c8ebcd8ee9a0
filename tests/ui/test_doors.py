"""One question at every door: commands, files and pages show the figures of one plan."""

import json
import shlex
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from click.testing import CliRunner
from streamlit.testing.v1 import AppTest

from planner.answer import Plan
from planner.catalog import find_gpu
from planner.cli.root import tunebudget
from planner.estimate import estimate
from planner.resolve import load_model
from planner.schema import METHODS, PlanRequest, parse_request
from planner.units import GIB, format_gib, gib
from tests.planner.sweep.tables import MEMORY
from ui import cost, cost_tables, links, money_text, state, sweep, sweep_tables, text
from ui.compare import answered, variants
from ui.compare_tables import compare_frame, parts_frame

Visit = Callable[..., AppTest]
Answer = dict[str, Any]

SAVING = {"gradient_checkpointing": True}
TOKENS = {"dataset": {"num_tokens": 10_000_000}}
QUESTIONS: dict[str, Answer] = {
    "full": {"model": "llama-3.2-1b", "method": "full", "gpu": "rtx-4090", "max_length": 2048, **SAVING, **TOKENS},
    "lora accumulated": {
        **{"model": "llama-3.1-8b", "method": "lora", "gpu": "l40s", "lora": {"r": 32, "lora_dropout": 0.05}},
        **{"gradient_accumulation_steps": 8, "per_device_train_batch_size": 2, **SAVING},
        "dataset": {"num_tokens": 10**8, "num_train_epochs": 3},
    },
    "qlora in a stack": {
        **{"model": "llama-3.3-70b", "method": "qlora", "gpu": "h100", "stack": "unsloth", "max_length": 4096},
        "dataset": {"num_examples": 5000, "mean_length": 700},
    },
    "dora": {"model": "qwen2.5-7b", "method": "dora", "gpu": "a100", "expandable_segments": True, **SAVING, **TOKENS},
    "ddp, spot": {
        **{"model": "qwen3-4b", "method": "lora", "gpu": "rtx-4090", "num_gpus": 2, **SAVING, **TOKENS},
        **{"parallelism": {"strategy": "ddp"}, "pricing": {"kind": "spot"}},
    },
    "zero2": {
        **{"model": "llama-3.1-8b", "method": "full", "gpu": "h100", "num_gpus": 4, **SAVING, **TOKENS},
        "parallelism": {"strategy": "zero2"},
    },
    "zero3 in a stack": {
        **{"model": "qwen2.5-7b", "method": "full", "gpu": "a100", "num_gpus": 8, "stack": "axolotl", **SAVING},
        **{"parallelism": {"strategy": "zero3"}, "max_length": 4096, **TOKENS},
    },
    "fsdp, own price": {
        **{"model": "llama-3.3-70b", "method": "lora", "gpu": "h100", "num_gpus": 8, "stack": "trl@1.16", **TOKENS},
        **{"parallelism": {"strategy": "fsdp"}, "pricing": {"usd_per_gpu_hour": 1.5}},
    },
    "experts": {
        **{"model": "mistralai/Mixtral-8x7B-v0.1", "method": "qlora", "gpu": "a100", "stack": "transformers@4.45"},
        **{"max_length": 2048, **SAVING, **TOKENS},
    },
    "too small": {"model": "llama-3.1-8b", "method": "full", "gpu": "t4", **TOKENS},
    "paged, owned": {
        **{"model": "llama-3.2-3b", "method": "full", "gpu": "rtx-4090", "optim": "paged_adamw_32bit", **SAVING},
        **{"pricing": {"kind": "owned", "purchase_price_usd": 1800}, **TOKENS},
    },
    "8-bit, padded": {
        **{"model": "gemma-2-2b", "method": "full", "gpu": "rtx-3090", "optim": "adamw_bnb_8bit"},
        **{"padding": "padded", **SAVING, **TOKENS},
    },
}
ASKED = pytest.mark.parametrize("question", QUESTIONS)
RUN = ("step_seconds", "tokens_per_second", "train_hours", "cost_usd", "usd_per_million_tokens")
OWN_AXES = ("--method", "--gpu", "--num-gpus", "--max-length", "--per-device-train-batch-size")


def request_of(question: str) -> PlanRequest:
    return parse_request(QUESTIONS[question])


def flags(request: PlanRequest, *without: str) -> list[str]:
    """The question as the page's own command line spells it, without some of the flags that have a value."""
    words, kept = shlex.split(links.cli_command(request))[2:], []
    while words:
        word = words.pop(0)
        if word in without:
            words.pop(0)
        else:
            kept.append(word)
    return kept


def call(*words: str, stdin: str = "") -> tuple[int, Any]:
    """Exit code and the JSON of a command."""
    result = CliRunner().invoke(tunebudget, [*words, "--json"], input=stdin)
    assert result.stderr == "", result.stderr
    return result.exit_code, json.loads(result.stdout)


@ASKED
def test_fit_plan_and_compare_give_the_plan(question: str) -> None:
    request = request_of(question)
    plan = estimate(request).model_dump(mode="json")
    fails = int(plan["verdict"] == "does not fit")
    assert call("plan", *flags(request)) == (fails, plan)
    code, answer = call("fit", *flags(request))
    assert code == fails and {name: answer[name] for name in plan} == plan
    beside = ("--methods", request.method, "--gpu", str(request.gpu))
    assert call("compare", *flags(request, "--method", "--gpu"), *beside) == (fails, {"plans": [plan]})


def test_a_stream_gives_the_plans() -> None:
    lines = "\n".join(json.dumps(fields) for fields in QUESTIONS.values())
    result = CliRunner().invoke(tunebudget, ["plan", "--batch", "-"], input=lines)
    plans = [estimate(parse_request(fields)).model_dump(mode="json") for fields in QUESTIONS.values()]
    assert [json.loads(line) for line in result.stdout.splitlines()] == plans


@ASKED
def test_a_table_and_a_search_of_one_trial_give_its_figures(question: str) -> None:
    request = request_of(question)
    plan = estimate(request)
    axes = {"--models": request.model, "--methods": request.method, "--gpus": request.gpu}
    axes |= {"--num-gpus": request.num_gpus, "--lengths": request.max_length}
    axes |= {"--batch-sizes": request.per_device_train_batch_size}
    words = [str(word) for pair in axes.items() for word in pair]
    _, table = call("table", *words, *flags(request, *OWN_AXES)[1:])
    (row,) = table["rows"]
    assert {name: row[name] for name in MEMORY} == pytest.approx(
        {name: getattr(plan, figure) / GIB for name, figure in MEMORY.items()}, rel=1e-5
    )
    low, high = plan.resident_band
    assert (row["needs_low_gib"], row["needs_high_gib"]) == pytest.approx((gib(low), gib(high)), rel=1e-5)
    assert row["verdict"] == plan.verdict
    runs = plan.verdict != "does not fit"
    for name in RUN:
        assert row[name] == (pytest.approx(getattr(plan, name), rel=1e-5) if runs else None), name
    _, searched = call("search", *flags(request, "--method"), "--methods", request.method, "--trials", "1")
    (found,) = searched["methods"]
    assert (found["verdict"], found["train_hours"]) == (plan.verdict, plan.train_hours)
    ways = [(way["hours"], way["usd"]) for way in found["schedules"]]
    assert ways[:1] == ([(plan.train_hours, pytest.approx(plan.cost_usd))] if runs else [])


# -- the pages ---------------------------------------------------------------------------------------------------------


def inputs_of(request: PlanRequest) -> Answer:
    """What the sidebar holds for a request: its stack's values, and its own."""
    keys = {path: key for key, path in state.FIELDS.items()}
    found = {keys[path]: value for path, value in state.leaves(request.model_dump(exclude_unset=True))}
    filled = state.stack_fills(str(found.get("stack")), request.method)
    names = {"model": load_model(request).name, "gpu": find_gpu(str(request.gpu)).key}
    return state.defaults() | filled | found | names


ON_PAGES = [name for name, fields in QUESTIONS.items() if fields["method"] in METHODS]
SHOWN = pytest.mark.parametrize("question", ON_PAGES)


def question_on_page(question: str) -> tuple[Answer, PlanRequest, Plan]:
    """The inputs, the request that the page makes of them, and the plan of the question."""
    values, plan = inputs_of(request_of(question)), estimate(request_of(question))
    request = state.request_from_values(values)
    assert estimate(request) == plan
    return values, request, plan


@SHOWN
def test_the_page_s_sentences_and_parts_are_the_plan_s(question: str) -> None:
    _, request, plan = question_on_page(question)
    assert f"**{format_gib(plan.resident_bytes)}**" in text.verdict_sentence(request, plan)
    *operands, slack = (line.split(" bytes")[0].lstrip("= ") for line in text.slack_derivation(plan).splitlines()[1:])
    whole, terms = (int(number.replace(",", "")) for number in operands[0].split(" - "))
    assert whole - terms == int(slack.replace(",", "")) == plan.slack_bytes
    parts = parts_frame([("one", plan)]).set_index("part")["one"]
    assert parts.drop("on the card").sum() == pytest.approx(parts["on the card"])


@SHOWN
def test_the_question_is_among_those_compared(question: str) -> None:
    values, request, plan = question_on_page(question)
    found = [answered(name, asked, estimate) for name, asked in variants("methods", values, METHODS, {})]
    _, answer = call("compare", *flags(request, "--method", "--gpu"), "--gpu", str(request.gpu))
    assert [one.plan and one.plan.model_dump(mode="json") for one in found] == answer["plans"]
    named = [(one.name, one.plan) for one in found if one.plan is not None]
    row = compare_frame(named).set_index("question").loc[request.method]
    low, high = plan.resident_band
    assert (row["needs"], row["from"], row["to"]) == (gib(plan.resident_bytes), gib(low), gib(high))
    assert (row["verdict"], row["hours"], row["USD"]) == (plan.verdict, plan.train_hours, plan.cost_usd)


@SHOWN
def test_the_question_s_own_row_stands_in_the_sweep_and_among_the_cards(question: str) -> None:
    _, request, plan = question_on_page(question)
    choice = sweep.Choice(methods=(request.method,), gpus=(), counts=(str(request.num_gpus),))
    frame = sweep_tables.table_frame(sweep.table_of(sweep.table_axes(request, choice)))
    (row,) = frame.to_dict("records")
    assert (row["verdict"], row["shared by"]) == (plan.verdict, request.parallelism.strategy)
    assert row["needs GiB"] == pytest.approx(gib(plan.resident_bytes), rel=1e-5)
    if plan.verdict != "does not fit":
        assert (row["hours"], row["USD"]) == pytest.approx((plan.train_hours, plan.cost_usd), rel=1e-5)
    if request.pricing is None:
        assert plan.price is not None
        options = cost.options(request, estimate)[0]
        own = next(option.plan for option in options if option.gpu.key == plan.gpu)
        assert own == plan


def test_the_pages_show_one_answer(open_page: Visit) -> None:
    values, request, plan = question_on_page("ddp, spot")
    fit = open_page(**links.query(values))
    assert plan.train_hours is not None and plan.cost_usd is not None
    figures = {metric.label: metric.value for metric in fit.metric}
    assert figures["Needs (estimated)"] == format_gib(plan.resident_bytes)
    assert figures["Training"] == money_text.hours(plan.train_hours)
    assert figures["Costs"] == money_text.usd(plan.cost_usd)
    priced = fit.switch_page("ui/pages/cost.py").run()
    assert priced.subheader[0].value == f"{figures['Training']}, {figures['Costs']}"
    frame = next(f.value for f in priced.dataframe if "price of" in f.value.columns).set_index("gpu")
    shown = cost_tables.option_frame([cost.Option(find_gpu("rtx-4090"), plan)], date.today()).iloc[0]
    assert dict(frame.loc["rtx-4090"][["verdict", "hours", "USD"]]) == dict(shown[["verdict", "hours", "USD"]])
