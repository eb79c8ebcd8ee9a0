"""The search for the largest size: few runs from the plan's guess, whatever the truth is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.estimate import estimate
from planner.report_find import find_report
from planner.runs import find_batch as module
from planner.runs.find_batch import MAX_RUNS, find_batch, planned_largest, search
from planner.runs.guard import needed_bytes
from planner.runs.start import Listener, Options
from tests.planner.runs.samples import record, request


def searched(truth: int, first: int, top: int = 10**6, what: str = "batch") -> tuple[Any, list[int]]:
    asked: list[int] = []

    def runs(size: int) -> bool:
        asked.append(size)
        return size <= truth

    return search(runs, first, top, what), asked


def test_a_right_guess_needs_two_runs() -> None:
    assert searched(truth=12, first=12) == ((12, 13), [12, 13])


@given(truth=st.integers(1, 60), off=st.integers(-6, 6))
def test_a_near_guess_is_corrected_exactly_in_few_runs(truth: int, off: int) -> None:
    (low, high), asked = searched(truth, max(1, truth + off), what="batch")
    assert low == truth and high in (truth + 1, truth + 2)
    assert len(asked) <= MAX_RUNS and len(set(asked)) == len(asked)


@given(truth=st.integers(0, 10**5), first=st.integers(1, 10**5), what=st.sampled_from(["batch", "length"]))
def test_the_edge_is_never_misstated(truth: int, first: int, what: str) -> None:
    (low, high), asked = searched(truth, first, what=what)
    assert len(asked) <= MAX_RUNS
    assert low is None or low <= truth
    assert high is None or high > truth


def test_the_search_stops_at_the_models_positions() -> None:
    assert searched(truth=10**6, first=100, top=100, what="length") == ((100, None), [100])


def test_nothing_runs() -> None:
    assert searched(truth=0, first=1) == ((None, 1), [1])


def test_the_plans_largest_is_the_last_that_fits() -> None:
    limit = needed_bytes(estimate(request(per_device_train_batch_size=7)))
    assert planned_largest(request(), "batch", limit, 1000) == 7
    assert planned_largest(request(), "batch", 1, 1000) is None


def test_a_run_counts_by_its_own_high_water_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 MiB of process and 1.5 times 10 MiB a sequence, against 450 MiB: 10 sequences."""

    def measured(asked: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return record(peak_mib=10 * asked.per_device_train_batch_size)

    monkeypatch.setattr(module, "profile_here", measured)
    options = Options(memory_limit_bytes=450 * 2**20)
    found = find_batch(request(max_length=16), options, "batch", Listener())
    assert (found.largest, found.smallest_failing) == (10, 11)
    assert len(found.tries) == found.as_dict()["num_runs"] <= MAX_RUNS
    assert "is 10 (measured in" in find_report(found)[0].text
