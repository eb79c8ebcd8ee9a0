"""The search against every option by hand: outcomes, the front, the cheapest and the fastest, and each reason."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import RequestError
from planner.estimate import estimate
from planner.schema import parse_request
from planner.sweep.goal import Goal, variants
from planner.sweep.pareto import beaten_by, front
from planner.sweep.search import OPTION_COLUMNS, OUTCOMES, Search, search
from planner.sweep.settle import settled
from tests.planner.sweep.tables import axes

BASE = {"dataset": {"num_tokens": 10**8}}
CARDS = ["t4", "rtx-4090", "h100"]
SMALL: dict[str, Any] = {"models": ["llama-3.2-1b"], "gpus": CARDS, "counts": [1, 2], "batches": [1, 8]}


def found(base: dict[str, Any] | None = None, axes_given: dict[str, Any] | None = None, **limits: Any) -> Search:
    return search(Goal(axes(**(SMALL | {"base": BASE | (base or {})} | (axes_given or {}))), **limits))


def hours_and_usd(options: Search) -> list[tuple[float, float]]:
    """Of the options that are feasible."""
    rows = options.rows(list(range(options.options.num_rows)))
    feasible = [OUTCOMES[number] in ("dominated", "on the front") for number in options.outcome]
    return [(row["train_hours"], row["cost_usd"]) for row, good in zip(rows, feasible, strict=True) if good]


def test_the_cheapest_and_the_fastest_are_so_among_all_that_fit() -> None:
    result = found()
    pairs = hours_and_usd(result)
    cheapest, fastest = (result.rows([place])[0] for place in (result.cheapest, result.fastest))
    assert cheapest["cost_usd"] == min(usd for _, usd in pairs)
    assert fastest["train_hours"] == min(hours for hours, _ in pairs)
    assert cheapest["verdict"] == fastest["verdict"] == "fits"


def test_an_option_is_the_plan_of_its_question() -> None:
    for row in (result := found()).rows([int(place) for place in result.front]):
        fields = {name: row[name] for name in ("model", "method", "gpu", "loss")}
        sizes = {name: int(row[name]) for name in ("num_gpus", "max_length", "per_device_train_batch_size")}
        shared = {"parallelism": {"strategy": row["strategy"]}, "gradient_checkpointing": row["gradient_checkpointing"]}
        plan = estimate(parse_request(BASE | fields | sizes | shared))
        assert plan.verdict == row["verdict"]
        assert (plan.train_hours, plan.cost_usd) == pytest.approx((row["train_hours"], row["cost_usd"]), rel=1e-5)


def test_no_option_of_the_front_is_beaten_and_every_other_one_is() -> None:
    result = found()
    pairs = hours_and_usd(result)
    best = [(row["train_hours"], row["cost_usd"]) for row in result.rows([int(place) for place in result.front])]
    assert best == sorted(best)
    for hours, usd in best:
        assert not any(h <= hours and u <= usd and (h, u) != (hours, usd) for h, u in pairs)
    for hours, usd in pairs:
        assert any(h <= hours and u <= usd for h, u in best)


def test_limits_are_kept_and_said() -> None:
    free = found()
    pairs = sorted(hours_and_usd(free))
    hours, usd = pairs[len(pairs) // 2][0], sorted(u for _, u in pairs)[len(pairs) // 2]
    result = found(deadline_hours=hours, budget_usd=usd)
    assert all(h <= hours and u <= usd for h, u in hours_and_usd(result))
    assert result.counts["too slow"] and result.counts["over budget"]
    assert sum(result.counts.values()) == free.options.num_rows == result.options.num_rows
    table = result.table()
    assert tuple(table.columns) == tuple(column.name for column in OPTION_COLUMNS)
    for outcome, reason in zip(table.values("outcome"), table.values("reason"), strict=True):
        assert reason is None if outcome == "on the front" else str(reason).startswith(str(outcome))


def test_what_is_open_is_tried_and_what_is_set_stays() -> None:
    result = found()
    assert result.options.num_rows == 3 * 3 * 2 * (2 * 2) * (1 + 2)
    tried = Counter((row["strategy"], row["num_gpus"]) for row in result.rows(list(range(result.options.num_rows))))
    assert set(tried) == {("none", 1), ("ddp", 2), ("fsdp", 2)}
    fixed = found({"gradient_checkpointing": True, "loss": "fused", "parallelism": {"strategy": "zero3"}})
    rows = fixed.rows(list(range(fixed.options.num_rows)))
    assert len(rows) == 3 * 3 * 2 * 2
    settings = {(row["gradient_checkpointing"], row["loss"], row["strategy"]) for row in rows}
    assert settings == {("true", "fused", "zero3")}
    named = Goal(axes(**(SMALL | {"base": BASE | {"stack": "unsloth"}})))
    assert {variant.settings["loss"] for variant in variants(named)} == {None}


def test_where_nothing_fits_each_card_says_what_lacks() -> None:
    result = found(axes_given={"models": ["llama-3.1-405b"], "gpus": ["t4", "h100"]})
    assert result.cheapest is None and result.fastest is None and len(result.front) == 0
    nearest = result.best_by_card()
    assert {row["gpu"] for row in result.rows(nearest)} == {"t4", "h100-sxm"}
    assert all("GiB too much" in result.reason(place) for place in nearest)


def test_tight_plans_are_taken_only_where_they_are_allowed() -> None:
    tight = {"models": ["llama-3.1-8b"], "gpus": ["rtx-4090"], "counts": [1], "batches": [1, 2, 4]}
    strict, loose = (found(axes_given=tight, allow_tight=allowed) for allowed in (False, True))
    assert strict.counts["tight"] > 0 and "tight" not in loose.counts
    assert len(hours_and_usd(loose)) == len(hours_and_usd(strict)) + strict.counts["tight"]


def test_a_card_without_a_price_says_so() -> None:
    result = found(axes_given={"gpus": ["rtx-2080-ti"], "counts": [1], "methods": ["lora"]})
    assert result.cheapest is None
    assert any(result.reason(place).startswith("no price: no on demand price") for place in result.best_by_card())


@pytest.mark.parametrize(
    ("given", "limits", "said"),
    [
        ({"models": ["gpt2", "llama-3.2-1b"]}, {}, "one model and one length"),
        ({"lengths": [512, 1024]}, {}, "one model and one length"),
        ({"base": {}}, {}, "a search needs the tokens"),
        ({}, {"deadline_hours": 0.0}, "deadline_hours: 0: give a finite number above 0"),
        ({}, {"budget_usd": float("inf")}, "budget_usd: inf: give a finite number above 0"),
        ({}, {"budget_usd": float("nan")}, "budget_usd: nan"),
    ],
)
def test_a_goal_that_is_none_is_refused(given: dict[str, Any], limits: dict[str, float], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        Goal(axes(**(SMALL | {"base": BASE} | given)), **limits)


PAIRS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=30)


@given(PAIRS)
def test_the_front_is_what_no_pair_beats(pairs: list[tuple[int, int]]) -> None:
    hours, usd = np.array(pairs, np.float64).T
    best = {pairs[place] for place in front(hours, usd)}
    assert best == {one for one in pairs if not any(o != one and o[0] <= one[0] and o[1] <= one[1] for o in pairs)}
    assert len(front(hours, usd)) == len(best)
    for place in range(len(pairs)):
        better = beaten_by(place, hours, usd, front(hours, usd))
        assert hours[better] <= hours[place] and usd[better] <= usd[place]


def test_a_front_of_nothing_is_empty() -> None:
    assert front(np.array([np.nan, 1.0]), np.array([1.0, np.nan])).size == 0


def test_single_cards_keep_to_the_strategy_that_is_named() -> None:
    assert settled({"parallelism": {"strategy": "ddp"}}, "gpt2", "lora", 1).parallelism.strategy == "none"
