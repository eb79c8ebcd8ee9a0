"""Published and own runs beside the planner: which figure is held against which, and in whose scope."""

import pytest

from planner.catalog.measurements import list_runs
from planner.catalog.rows.measurement import MeasurementRow
from planner.estimate import estimate
from planner.evidence.request import request_of
from planner.evidence.score import score_own, score_published


def published(name: str) -> MeasurementRow:
    return next(row for row in list_runs() if row.id == name)


@pytest.mark.parametrize(
    ("metric", "field"),
    [
        ("max_allocated", "peak_bytes"),
        ("allocated_end_of_train", "steady_bytes"),
        ("max_reserved", "reserved_bytes"),
        ("nvidia_smi", "device_bytes"),
    ],
)
def test_each_metric_is_held_against_its_own_figure(metric: str, field: str) -> None:
    row = published("litgpt-m060").model_copy(update={"metric": metric})
    (found,) = score_published([row])
    plan = estimate(request_of(row))
    predicted = getattr(plan, field)
    assert found.predicted_bytes == predicted
    assert found.low_bytes == int(plan.low_bytes * (predicted / plan.device_bytes))
    assert found.error == pytest.approx(predicted / row.measured_bytes - 1)


def test_a_total_is_held_against_all_devices() -> None:
    row = published("fmsacc-m013")
    assert row.num_gpus == 2
    (one,), (total,) = score_published([row]), score_published([row.model_copy(update={"scope": "total"})])
    assert one.predicted_bytes is not None
    assert total.predicted_bytes == 2 * one.predicted_bytes


def test_a_refusal_is_kept_with_its_reason() -> None:
    (found,) = score_published([published("litgpt-m060").model_copy(update={"model": "no/such-model"})])
    assert found.predicted_bytes is None
    assert "no/such-model" in found.refusal


def test_nothing_is_left_out() -> None:
    found = list(score_published())
    assert [one.id for one in found] == [row.id for row in list_runs()]
    assert all(one.answered or one.refusal for one in found)


def test_figures_of_one_run_share_their_answer() -> None:
    """An end-of-training figure and a peak of the same line of the same file are one run."""
    rows = [row for row in list_runs() if "bs=2,lora,nvidia=63398,peak=57554708992.0" in row.quote]
    assert len(rows) > 1
    assert len({row.run for row in rows}) == 1


def test_our_own_runs_are_answered_to_the_tenth_of_a_percent() -> None:
    """The golden tables hold each line's error; here that the evidence shows the same ones."""
    answered = [one for one in score_own() if one.answered]
    assert len(answered) >= 48
    assert all(one.error is not None and abs(one.error) < 1e-3 for one in answered)
