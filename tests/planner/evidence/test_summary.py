"""Errors, verdicts and chances, counted by hand."""

import pytest

from planner.evidence.summary import errors_by, errors_of, reliability_of, verdicts_of, worst_first
from tests.planner.evidence.rows import row


def test_errors_of_five() -> None:
    found = [row(str(p), p) for p in (80, 94, 100, 101, 150)] + [row("refused", None, refusal="no")]
    errors = errors_of("all", found)
    assert (errors.figures, errors.answered) == (6, 5)
    assert errors.median_error == pytest.approx(0.06)
    assert errors.p90_error == pytest.approx(0.2 + 0.6 * (0.5 - 0.2)), "0.9 x 4 is the place 3.6 of 0 to 4"
    assert errors.bias == pytest.approx(0.0)
    assert errors.under_share == pytest.approx(2 / 5)
    assert errors.in_band_share == pytest.approx(3 / 5)


@pytest.mark.parametrize("measured", [(80,), (80, 95), (80, 95, 99)])
def test_the_90th_percentile_of_few_is_no_less_than_their_median(measured: tuple[float, ...]) -> None:
    errors = errors_of("few", [row(str(p), p) for p in measured])
    assert errors.p90_error is not None and errors.median_error is not None
    assert errors.p90_error >= errors.median_error


def test_a_group_without_answers_has_figures_and_no_errors() -> None:
    errors = errors_of("x", [row("a", None, refusal="no")])
    assert (errors.figures, errors.answered, errors.median_error) == (1, 0, None)


def test_runs_that_ran_out_have_no_error() -> None:
    out = row("a", 200, ran_out=True)
    assert (out.error, out.log_ratio, out.in_band) == (None, None, None)
    assert errors_of("x", [out]).figures == 0


def test_groups_stand_by_size() -> None:
    found = [row("a", 100), row("b", 110, method="full"), row("c", 120, method="full")]
    assert [(errors.group, errors.figures) for errors in errors_by("method", found)] == [("full", 2), ("lora", 1)]


def test_worst_first_a_half_is_as_far_as_a_double_and_the_refused_come_last() -> None:
    found = [row("right", 100), row("refused", None), row("half", 50), row("triple", 300), row("out", 90, ran_out=True)]
    assert [one.id for one in worst_first(found)] == ["triple", "half", "right", "out", "refused"]


def test_verdicts_count_a_run_once() -> None:
    found = [
        row("a", 100),
        row("a again", 100, run=("a",)),
        row("b", 100, verdict="does not fit"),
        row("c", 100, verdict="tight", ran_out=True),
        row("d", 100, verdict="fits", ran_out=True),
        row("no card", 100, verdict=None, oom_probability=None),
    ]
    verdicts = verdicts_of(found)
    assert verdicts.ran == {"fits": 1, "does not fit": 1}
    assert verdicts.false_alarm_share == 0.5
    assert verdicts.caught_share == 0.5


def test_reliability_counts_what_ran_out_of_what_was_given_a_chance() -> None:
    found = [row(str(k), 100, oom_probability=0.2, ran_out=k < 2) for k in range(10)]
    found.append(row("sure", 100, oom_probability=1.0, ran_out=True))
    table = {(one.low, one.high): one for one in reliability_of(found)}
    assert (table[0.1, 0.3].runs, table[0.1, 0.3].ran_out) == (10, 2)
    assert table[0.1, 0.3].mean_chance == pytest.approx(0.2)
    assert (table[0.9, 1.0].runs, table[0.9, 1.0].ran_out) == (1, 1)
    assert sum(one.runs for one in table.values()) == 11
