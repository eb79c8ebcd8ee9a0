"""The search command: trials by method and schedule, its JSON, its refusals and exit codes."""

import json
from typing import Any

import pytest

from planner.cost.hpo import Search
from planner.estimate import estimate
from planner.method_search import cheapest_search, searches
from planner.schema import parse_request
from tests.planner.cli.conftest import Run

ASKED = ("search", "llama-3.2-1b", "--gpu", "h100", "--num-tokens", "10000000", "--provider", "lambda")


def answer(run: Run, *args: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*ASKED, *args, "--json").stdout)
    return found


def test_trials_in_a_row_take_their_share_of_the_run_each(run: Run) -> None:
    found = answer(run, "--trials", "8", "--trial-share", "0.25")
    plan = estimate(
        parse_request(
            {
                "model": "llama-3.2-1b",
                "method": "lora",
                "gpu": "h100",
                "dataset": {"num_tokens": 10_000_000},
                "pricing": {"provider": "lambda"},
            }
        )
    )
    lora = next(one for one in found["methods"] if one["method"] == "lora")
    row = next(s for s in lora["schedules"] if s["name"] == "one after the other")
    assert plan.train_hours is not None and plan.price is not None
    assert row["hours"] == pytest.approx(8 * 0.25 * plan.train_hours)
    assert row["usd"] == pytest.approx(row["hours"] * plan.price.usd_per_hour)
    assert [one["method"] for one in found["methods"]] == ["full", "lora", "qlora"]
    assert found["price"]["source"] and found["price"]["as_of"]


def test_the_cheapest_is_the_least_of_all(run: Run) -> None:
    found = answer(run, "--trials", "5", "--sharing-efficiency", "1.5")
    least = {one["method"]: min(s["usd"] for s in one["schedules"]) for one in found["methods"]}
    assert found["cheapest_method"] == min(least, key=lambda method: least[method])


def test_a_person_reads_the_same(run: Run) -> None:
    text = run(*ASKED, "--trials", "5", "--methods", "lora,qlora").stdout
    assert text.splitlines()[1].startswith("The cheapest: ")
    assert "Price: " in text and "  full " not in text and "sharing_efficiency" in text


def test_what_fits_nowhere_is_exit_code_1(run: Run) -> None:
    result = run("search", "llama-3.3-70b", "--gpu", "rtx-4090", "--num-tokens", "1000")
    assert result.exit_code == 1
    assert "full does not fit, so it has no trials." in result.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("search", "gpt2", "--num-tokens", "10"), "--gpu is missing"),
        (("search", "gpt2", "--gpu", "h100"), "--num-tokens is missing"),
        (("search", "gpt2", "--gpu", "h100", "--num-tokens", "10", "--trials", "0"), "--trials"),
        (("search", "gpt2", "--gpu", "h100", "--num-tokens", "10", "--trial-share", "0"), "--trial-share"),
        (("search", "gpt2", "--gpu", "h100", "--num-tokens", "10", "--methods", "nope"), "'nope' is no method"),
    ],
)
def test_bad_input_is_one_line(run: Run, args: tuple[str, ...], said: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert said in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_method_that_is_refused_says_why_and_the_others_go_on() -> None:
    """PEFT refuses prefixes with gradient checkpointing."""
    asked = {"model": "llama-3.2-1b", "method": "lora", "gpu": "h100", "dataset": {"num_tokens": 10**6}}
    request = parse_request({**asked, "gradient_checkpointing": True})
    found = searches(request, Search(3), estimate, ("prefix_tuning", "lora"))
    assert isinstance(found[0].found, str) and found[0].plan is None
    best = cheapest_search(found)
    assert best is not None and best.method == "lora"
    assert cheapest_search(found[:1]) is None
