"""Published speeds: what is asked for them, how far off the answers are, and how the fit comes out."""

import math
from dataclasses import replace
from datetime import date

import pytest

from planner.catalog.measurements import list_runs, list_speeds
from planner.catalog.rows.speed import SpeedRow
from planner.catalog.throughput import list_constants, list_speed_bands, list_speed_runs, speed_fit
from planner.errors import RequestError
from planner.evidence.request import request_of
from planner.evidence.speed_fit import CAP, Case, cases_of, fit_constants, loss
from planner.evidence.speed_refit import refit_speeds
from planner.evidence.speed_request import speed_request_of
from planner.evidence.speed_score import score_speeds
from planner.evidence.summary import errors_of
from planner.throughput.constants import constants


def row(**changes: object) -> SpeedRow:
    base = next(one for one in list_speeds() if one.id == "fmsacc-s015")
    return base.model_copy(update=changes)


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """A few rows of three sources."""
    wanted = ("fmsacc-s015", "fmsacc-s134", "fmsacc-s178", "mpt-s096", "mpt-s008", "qwen-s003", "qwen-s019")
    return cases_of(one for one in list_speeds() if one.id in wanted)


def test_a_row_becomes_a_request_without_a_stack() -> None:
    request = speed_request_of(row(gradient_accumulation_steps=4, num_gpus=16, sharding="fsdp_full"))
    assert (request.num_nodes, request.parallelism.strategy) == (2, "fsdp")
    assert request.gradient_accumulation_steps == 4
    assert not request.names_stack


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_length": None}, "no batch, length, card or speed"),
        ({"gradient_checkpointing": "selective"}, "cannot say this sharding or checkpointing"),
        ({"method": "boft"}, "does not know this method"),
    ],
)
def test_what_a_request_cannot_say_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        speed_request_of(row(**changes))


def test_a_stack_is_named_where_it_is_asked_for() -> None:
    plain, named = speed_request_of(row()), speed_request_of(row(), name_stack=True)
    assert (plain.names_stack, named.stack) == (False, "fms-acceleration@0.4")
    assert not speed_request_of(row(stack=""), name_stack=True).names_stack
    assert cases_of([row(stack="")], name_stack=True) == []
    assert cases_of([row(compile=True)], name_stack=True) == []


def test_fused_kernels_are_met_within_a_few_percent() -> None:
    """Runs of fms-acceleration's kernels, asked with the stack's name, on one card."""
    speeds = [one for one in list_speeds() if one.stack.startswith("fms-acceleration") and one.num_gpus == 1]
    errors = [abs(math.exp(case.log_error(constants())) - 1) for case in cases_of(speeds, name_stack=True)]
    assert len(errors) > 15 and sorted(errors)[len(errors) // 2] < 0.06


def test_the_error_is_of_tokens_a_second_and_the_band_of_seconds() -> None:
    (one,) = score_speeds([row()])
    assert one.time is not None and one.row.tokens_per_second is not None
    assert one.error == pytest.approx(one.time.tokens_per_second / one.row.tokens_per_second - 1)
    low, high = one.time.low_seconds, one.time.high_seconds
    (slow,) = score_speeds([row(tokens_per_second=4 * 4096 * 2 / (1.01 * high))])
    (inside,) = score_speeds([row(tokens_per_second=4 * 4096 * 2 / math.sqrt(low * high))])
    assert (slow.in_band, inside.in_band) == (False, True)


def test_published_speeds_are_met() -> None:
    """The figures that README names: median within 12%, 90th percentile within 35%, 90% in the band."""
    errors = errors_of("all", list(score_speeds()))
    assert errors.answered >= 306
    assert errors.median_error is not None and errors.median_error < 0.12
    assert errors.p90_error is not None and errors.p90_error < 0.35
    assert errors.in_band_share is not None and errors.in_band_share >= 0.9


def test_the_kept_runs_are_about_the_answers_of_today() -> None:
    kept = {run.id: run.log_ratio for run in list_speed_runs() if run.asked == "stated"}
    found = {one.row.id: one.log_ratio for one in score_speeds() if one.log_ratio is not None}
    assert kept.keys() == found.keys()
    moved = [name for name, value in found.items() if abs(value - kept[name]) > 0.03]
    assert len(moved) < 0.1 * len(kept), "`tunebudget calibrate --throughput --write` fits them anew"


def test_the_fit_says_what_it_covers() -> None:
    fit = speed_fit()
    assert fit.coverage >= 0.9
    assert fit.median_error < fit.held_out_median_error
    assert {band.devices for band in list_speed_bands()} == {"any", "one", "several"}


def test_the_loss_is_a_weighted_mean_with_a_cap(cases: list[Case]) -> None:
    c = constants()
    far = [replace(case, row=case.row.model_copy(update={"tokens_per_second": 1.0})) for case in cases]
    assert loss(far, c) == pytest.approx(CAP)
    weights = [case.weight for case in cases]
    errors = [min(abs(case.log_error(c)), CAP) for case in cases]
    assert loss(cases, c) == pytest.approx(sum(w * e for w, e in zip(weights, errors, strict=True)) / sum(weights))


def test_a_source_weighs_as_the_root_of_its_rows(cases: list[Case]) -> None:
    weights = {case.row.id: case.weight for case in cases}
    assert weights["fmsacc-s015"] == pytest.approx(1 / math.sqrt(3))
    assert weights["mpt-s096"] == pytest.approx(1 / math.sqrt(2))


def test_the_fit_finds_constants_back(cases: list[Case]) -> None:
    """Rows whose speeds are the planner's own under other constants."""
    truth = replace(constants(), matmul_share=0.7, launch_seconds=2.4e-5)
    made = []
    for case in cases:
        measured = case.row.tokens_per_second
        assert measured is not None
        own = measured * math.exp(case.log_error(truth))
        made.append(replace(case, row=case.row.model_copy(update={"tokens_per_second": own})))
    rows = [one for one in list_constants() if one.name in ("matmul_share", "launch_seconds")]
    found = fit_constants(made, constants(), rows)
    assert found.matmul_share == pytest.approx(0.7, rel=0.05)
    assert found.launch_seconds == pytest.approx(2.4e-5, rel=0.1)
    assert loss(made, found) < 0.02


def test_a_refit_stays_in_bounds_and_leaves_what_is_not_fitted(cases: list[Case]) -> None:
    rows = [one.model_copy(update={"basis": "assumed", "low": None, "high": None}) for one in list_constants()]
    free = {"matmul_share", "launch_seconds"}
    rows = [old if old.name in free else new for old, new in zip(list_constants(), rows, strict=True)]
    found = refit_speeds(cases, [], rows, date(2026, 1, 2))
    for old, new in zip(rows, found.constants, strict=True):
        if old.name in free:
            assert old.low is not None and old.high is not None
            assert old.low <= new.value <= old.high
            assert new.as_of == date(2026, 1, 2)
        else:
            assert new == old
    assert {one.source for one in found.left_out} == {case.row.source for case in cases}
    stated = [run for run in found.runs if run.asked == "stated"]
    assert len(stated) == found.summary.runs == len(cases)
    assert {run.id for run in found.runs if run.asked == "open"} == {"fmsacc-s178", "qwen-s003"}


def test_a_prompt_is_as_long_and_an_adapter_as_wide_as_its_source_says() -> None:
    speeds = {row.id: row for row in list_speeds()}
    assert speed_request_of(speeds["peftspd-s046"]).virtual_tokens == 200
    adalora = speed_request_of(speeds["peftspd-s064"]).lora_settings
    assert adalora is not None and (adalora.r, adalora.target_modules) == (8, ("q_proj", "v_proj"))
    runs = {row.id: row for row in list_runs()}
    assert request_of(runs["peftcmp-m181"]).virtual_tokens == 200
