"""Searches over hyperparameters, worked through by hand."""

import pytest

from planner.answer import Plan
from planner.catalog import find_gpu
from planner.cost.hpo import Schedule, Search, SearchCost, search_cost, trials_per_card
from planner.cost.rate import Rate, rate_of
from planner.estimate import estimate
from planner.schema import parse_request


def asked(gpu: str, method: str = "lora", **pricing: object) -> tuple[Plan, Rate]:
    request = parse_request({"model": "llama-3.2-1b", "method": method, "gpu": gpu, "pricing": pricing})
    return estimate(request), rate_of(request, find_gpu(gpu))


def by_name(found: SearchCost | str) -> dict[str, Schedule]:
    assert isinstance(found, SearchCost)
    return {schedule.name: schedule for schedule in found.schedules}


def test_as_many_trials_fit_as_the_upper_end_of_the_band_goes_into_the_card() -> None:
    plan, _ = asked("h100-sxm")
    assert plan.usable_bytes is not None
    fitting = trials_per_card(plan)
    high = plan.needed_band[1]
    assert fitting * high <= plan.usable_bytes < (fitting + 1) * high
    assert fitting > 1


def test_smaller_methods_fit_more_often() -> None:
    full, lora, qlora = (trials_per_card(asked("h100-sxm", method)[0]) for method in ("full", "lora", "qlora"))
    assert full < lora <= qlora


def test_on_one_card_trials_at_once_cost_what_they_cost_in_a_row() -> None:
    plan, rate = asked("rtx-4090", provider="runpod")
    found = by_name(search_cost(plan, rate, 1, 2.0, Search(10, trial_share=0.5)))
    row, at_once = found["one after the other"], found["all at once"]
    assert (row.hours, row.usd) == (pytest.approx(10), pytest.approx(10 * 0.69))
    assert (at_once.hours, at_once.machines, at_once.usd) == (pytest.approx(1), 10, pytest.approx(10 * 0.69))
    assert "together on one machine" not in found


def test_a_machine_with_more_cards_runs_one_trial_on_each() -> None:
    """Eight cards are paid for anyway: ten trials take two rounds."""
    plan, rate = asked("a100-40gb-sxm", provider="aws")
    found = by_name(search_cost(plan, rate, 1, 3.0, Search(10)))
    assert rate.price is not None and rate.price.gpus == 8
    assert found["one after the other"].usd == pytest.approx(30 * rate.price.usd_per_hour)
    together = found["together on one machine"]
    assert (together.at_once, together.hours) == (8, pytest.approx(6))
    assert together.usd == pytest.approx(6 * rate.price.usd_per_hour)
    assert found["all at once"].machines == 2 and found["all at once"].usd == pytest.approx(together.usd)


def test_sharing_a_card_pays_by_what_it_gains() -> None:
    plan, rate = asked("h100-sxm", provider="lambda")
    fitting = trials_per_card(plan)
    found = by_name(search_cost(plan, rate, 1, 1.0, Search(2 * fitting, sharing_efficiency=1.5)))
    assert found["together on one machine"].hours == pytest.approx(2 * fitting / 1.5)
    assert found["one after the other"].hours == pytest.approx(2 * fitting)


def test_what_does_not_fit_has_no_trials() -> None:
    request = parse_request({"model": "llama-3.1-8b", "method": "full", "gpu": "rtx-4090"})
    found = search_cost(estimate(request), rate_of(request, find_gpu("rtx-4090")), 1, 1.0, Search(5))
    assert found == "full does not fit, so it has no trials"
