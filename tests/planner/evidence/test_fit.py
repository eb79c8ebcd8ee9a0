"""The bands' fit: weighted quantiles, small kinds drawn to wider ones, and coverage where a source was left out."""

import math
from random import Random

import pytest

from planner.catalog.rows.band import BandRunRow
from planner.evidence.fit import COVERAGE, ROUNDING, SHRINKAGE, coverage, fit, kind_quantiles, kinds_of

WIDEST = ("any", "any", "any")


def run(log_ratio: float, source: str = "a", **changes: str) -> BandRunRow:
    kind = {"device": "cuda", "devices": "one", "certainty": "exact", "stack": "trl", "level": "device"}
    return BandRunRow.model_validate({"id": "x", "source": source, "log_ratio": log_ratio} | kind | changes)


def noise(count: int, sigma: float, source: str, seed: int, **changes: str) -> list[BandRunRow]:
    random = Random(seed)
    return [run(random.gauss(0, sigma), source, **changes) for _ in range(count)]


def test_quantiles_of_one_source_are_those_of_its_runs() -> None:
    """Nineteen runs, 0.00 to 0.18: the middle of the k-th of n weights lies at (k - 1/2) / n."""
    found = kind_quantiles([run(k / 100) for k in range(19)], [WIDEST])
    assert found[2] == pytest.approx(0.09)
    assert found[0] == pytest.approx((0.05 * 19 - 0.5) / 100)
    assert found[-1] == pytest.approx((0.95 * 19 - 0.5) / 100)


def test_a_source_weighs_as_the_root_of_its_runs() -> None:
    """Sixteen runs of one source at 0 and one of another at 1 weigh 4 to 1: the 75% quantile is still 0 to 1."""
    runs = [run(0.0, "a")] * 16 + [run(1.0, "b")]
    assert kind_quantiles(runs, [WIDEST])[-1] == 1.0
    assert kind_quantiles(runs, [WIDEST])[2] == 0.0
    assert kind_quantiles([run(0.0, "a")] * 400 + [run(1.0, "b")], [WIDEST])[-1] < 0.6


def test_a_small_kind_is_drawn_to_the_wider_one() -> None:
    """SHRINKAGE runs of its own weigh as much as all the rest: its median lies between the two."""
    own = ("one", "exact", "axolotl")
    rest = [run(k / 1000, "a") for k in range(-100, 101)]
    few = [run(1.0, "b", stack="axolotl")]
    many = few * (10 * SHRINKAGE)
    chain = kinds_of(few[0])
    assert chain[-1] == own
    assert kind_quantiles(rest + few, chain)[2] < 0.2
    assert kind_quantiles(rest + many, chain)[2] == pytest.approx(1.0)


def test_sources_that_agree_need_no_widening() -> None:
    runs = [one for seed, source in enumerate("abcdefgh") for one in noise(60, 0.05, source, seed)]
    found = fit(runs)
    assert found.coverage is not None
    assert found.coverage >= COVERAGE
    assert max(found.widening) < 1.15
    assert found.median_width == pytest.approx(2 * 1.645 * 0.05, rel=0.2)


def test_sources_that_disagree_widen_the_band_until_the_claim_holds() -> None:
    """Each source is precise and off by its own factor: only a band as wide as the sources' spread covers a new one."""
    runs = []
    for seed, source in enumerate("abcdefghij"):
        shift = 0.05 * (seed - 4.5)
        runs += [run(one.log_ratio + shift, source) for one in noise(30, 0.005, source, seed)]
    found = fit(runs)
    assert coverage(found.held_out, (1.0, 1.0)) < COVERAGE
    assert min(found.widening) > 1
    assert found.coverage is not None
    assert found.coverage >= COVERAGE


def test_only_the_side_beyond_which_runs_lie_is_widened() -> None:
    near = [one for seed, source in enumerate("abc") for one in noise(60, 0.02, source, seed)]
    above = [run(0.2 + k / 1000, "d") for k in range(30)]
    low, high = fit(near + above).widening
    assert low < 1.5
    assert high > 4


def test_quantiles_are_of_what_allocator_and_driver_showed() -> None:
    """Figures of tensor bytes count in the coverage alone."""
    shown = noise(60, 0.1, "a", 1) + noise(60, 0.1, "b", 2)
    tensors = [run(0.0, source, level="tensors") for source in "ab"] * 100
    found = fit(shown + tensors)
    (widest,) = (band for band in found.bands if band.kind == WIDEST)
    low, *_, high = kind_quantiles(shown, [WIDEST])
    assert (widest.quantiles[0], widest.quantiles[-1]) == (low * found.widening[0], high * found.widening[1])
    assert widest.runs == len(shown)
    assert len(found.held_out) == len(shown + tensors)


def test_the_held_out_band_has_not_seen_its_source() -> None:
    """One source far off cannot widen its own band."""
    runs = noise(50, 0.01, "a", 1) + noise(50, 0.01, "b", 2) + [run(2.0, "c")] * 5
    far = [one for one in fit(runs).held_out if one.run.source == "c"]
    assert all(one.quantiles[-1] < 0.1 for one in far)


def test_bands_hold_their_prediction_and_the_rounding_of_figures() -> None:
    for band in fit([run(0.3, source) for source in "ab"] * 10).bands:
        assert band.quantiles[0] <= -ROUNDING
        assert band.quantiles[-1] >= 0.3


def test_runs_and_sources_are_counted_by_kind() -> None:
    runs = noise(5, 0.1, "a", 1) + noise(7, 0.1, "b", 2, devices="several", certainty="modelled", stack="litgpt")
    counts = {band.kind: (band.runs, band.sources) for band in fit(runs).bands}
    assert counts[WIDEST] == (12, 2)
    assert counts["one", "exact", "trl"] == (5, 1)
    assert counts["several", "modelled", "litgpt"] == (7, 1)


def test_runs_without_a_named_stack_have_kinds_of_their_own() -> None:
    bands = fit(noise(5, 0.1, "a", 1, stack="unnamed") + noise(5, 0.1, "b", 2, stack="unnamed")).bands
    assert [band.kind for band in bands] == [
        ("any", "any", "unnamed"),
        ("one", "any", "unnamed"),
        ("one", "exact", "unnamed"),
    ]


def test_answers_whose_reading_is_open_say_nothing_of_the_others() -> None:
    """They have a kind apart, and without another source of it they are not held against any fit."""
    certain = noise(30, 0.01, "a", 1, stack="unnamed") + noise(30, 0.01, "b", 2, stack="unnamed")
    is_open = [run(-1.0, "a", stack="unnamed", certainty="fitted")] * 10
    found = fit(certain + is_open)
    assert len(found.held_out) == 60
    bands = {band.kind: band.quantiles for band in found.bands}
    assert bands["any", "any", "unnamed"][0] > -0.1
    assert bands["any", "fitted", "unnamed"][0] <= -1.0


def test_cpu_runs_are_told_apart_by_certainty_alone_and_not_drawn_together() -> None:
    exact = [run(k * 1e-6, "own", device="cpu") for k in range(-20, 21)]
    wide = [run(k * 1e-2, "a", device="cpu", certainty="modelled") for k in range(-20, 21)]
    bands = {band.kind: band.quantiles for band in fit(exact + wide).bands}
    assert bands["any", "exact", "any"][-1] < 3e-5
    assert bands["any", "modelled", "any"][-1] > 0.1
    assert all(math.isfinite(value) for quantiles in bands.values() for value in quantiles)
