"""Invariants of data/bands/: what is kept is the fit of the runs that are kept with it, and covers what it claims."""

from planner.catalog.bands import find_band, list_band_fits, list_band_runs, list_bands
from planner.catalog.measurements import list_own_runs, list_runs
from planner.catalog.rows.band import UNNAMED
from planner.evidence.fit import COVERAGE, kinds_of
from planner.evidence.refit import refit


def test_the_bands_are_the_fit_of_the_kept_runs() -> None:
    fits = list_band_fits()
    again = refit(tuple(list_band_runs()), fits[0].fitted_on)
    assert list(again.bands) == list_bands()
    assert [row.model_copy(update={"tool_version": ""}) for row in again.summaries] == [
        row.model_copy(update={"tool_version": ""}) for row in fits
    ]


def test_every_run_is_a_measured_one() -> None:
    known = {row.id for row in (*list_runs(), *list_own_runs())}
    assert {run.id for run in list_band_runs()} <= known


def test_a_source_that_was_left_out_is_covered_as_claimed() -> None:
    for fit in list_band_fits():
        if fit.device == "cuda":
            assert fit.coverage is not None
            assert fit.coverage >= COVERAGE, fit


def test_kinds_are_unique_and_each_run_finds_its_own() -> None:
    kinds = [(band.device, band.devices, band.certainty, band.stack) for band in list_bands()]
    assert len(set(kinds)) == len(kinds)
    for run in list_band_runs():
        if run.device == "cuda" and (run.stack == UNNAMED or run.level == "device"):
            band = find_band(run.device, run.devices, run.certainty, run.stack)
            assert (band.devices, band.certainty, band.stack) == kinds_of(run)[-1], run.id
