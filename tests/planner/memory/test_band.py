"""The band: its ends, and the chances read off it."""

from math import exp, log
from statistics import NormalDist

import pytest

from planner.catalog.bands import find_band, list_bands
from planner.memory.band import NORMAL_QUANTILES, Band, band_for
from planner.schema import parse_request

#: A log-normal error of 10%: then every quantile lies on one line, and the chance is the normal distribution's.
SIGMA = 0.1
STRAIGHT = Band(tuple(SIGMA * z for z in NORMAL_QUANTILES))


def test_the_quantiles_are_the_normal_distributions() -> None:
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    assert pytest.approx(NORMAL_QUANTILES) == [NormalDist().inv_cdf(level) for level in levels]


def test_ends_lie_around_the_prediction() -> None:
    low, high = Band((log(0.9), -0.01, 0.0, 0.01, log(1.2))).ends(1000)
    assert (low, high) == (900, 1200) or (low, high) == (899, 1199)


@pytest.mark.parametrize("ratio", [0.5, 0.8, 0.95, 1.0, 1.01, 1.3, 2.0])
def test_a_straight_band_is_a_log_normal_error(ratio: float) -> None:
    chance = STRAIGHT.chance_above(predicted=10**10, limit=round(ratio * 10**10))
    assert chance == pytest.approx(1 - NormalDist(0, SIGMA).cdf(log(ratio)), abs=1e-9)


def test_a_skewed_band_gives_five_percent_at_each_end() -> None:
    band = Band((-0.3, -0.1, 0.02, 0.05, 0.08))
    for quantile, chance in zip(band.quantiles, (0.95, 0.75, 0.5, 0.25, 0.05), strict=True):
        assert band.chance_above(10**12, round(10**12 * exp(quantile))) == pytest.approx(chance, abs=1e-6)


def test_more_room_never_raises_the_chance() -> None:
    band = Band((-0.3, -0.1, -0.1, 0.0, 0.08))
    chances = [band.chance_above(1000, limit) for limit in range(500, 1500, 5)]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.99
    assert chances[-1] < 0.01


def test_every_kind_of_request_has_a_band() -> None:
    for device in ("cuda", "cpu"):
        for certainty in ("exact", "modelled", "fitted"):
            for num_gpus in (1, 8):
                for stack in ({}, {"stack": "trl"}):
                    cards = {"num_gpus": num_gpus, "parallelism": {"strategy": "ddp" if num_gpus > 1 else "none"}}
                    asked = parse_request({"model": "gpt2", "method": "full", "device": device} | cards | stack)
                    assert band_for(asked, certainty).quantiles  # type: ignore[arg-type]


def test_a_stack_that_was_not_told_apart_takes_the_wider_kind() -> None:
    known = find_band("cuda", "one", "exact", "no such stack")
    assert known.stack == "any"
    assert known == find_band("cuda", "one", "exact", "another@1.0")


def test_the_kept_bands_hold_their_prediction() -> None:
    for band in list_bands():
        assert band.q05 <= 0 <= band.q95, band
        assert list(band.quantiles) == sorted(band.quantiles), band
