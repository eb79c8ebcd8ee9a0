"""Invariants of data/prices.csv, in the manner of gpuhunt's: every assertion names the row it is about."""

from collections import Counter, defaultdict

import pytest

from planner.catalog import PriceRow, cheapest_price, list_gpus, list_prices


@pytest.fixture(scope="module")
def prices() -> list[PriceRow]:
    return list_prices()


def _label(row: PriceRow) -> str:
    return f"{row.provider} {row.gpus_per_instance}x{row.gpu_key} {row.instance_type} {row.region} {row.pricing}"


def test_all_collected_rows_are_there(prices: list[PriceRow]) -> None:
    assert len(prices) >= 337


def test_keys_are_unique(prices: list[PriceRow]) -> None:
    assert not [label for label, count in Counter(map(_label, prices)).items() if count > 1]


def test_expected_providers_and_cards_are_present(prices: list[PriceRow]) -> None:
    assert {"aws", "azure", "gcp", "lambda", "runpod", "vast"} <= {row.provider for row in prices}
    assert {"h100-sxm", "a100-80gb-sxm", "l4", "t4", "rtx-4090", "b200"} <= {row.gpu_key for row in prices}


def test_every_card_is_in_the_catalogue(prices: list[PriceRow]) -> None:
    keys = {gpu.key for gpu in list_gpus()}
    for row in prices:
        assert row.gpu_key in keys, _label(row)


def test_every_row_has_source_and_date(prices: list[PriceRow]) -> None:
    for row in prices:
        assert row.source_url.startswith("https://"), _label(row)
        assert row.as_of_basis, _label(row)
        assert (row.as_of is None) == (row.date_confidence in ("undated", "old")), _label(row)
        assert row.as_of is None or row.as_of <= row.collected, _label(row)
        assert row.collected.year >= 2026, _label(row)


def test_the_price_of_a_card_is_its_share_of_the_instance(prices: list[PriceRow]) -> None:
    for row in prices:
        share = row.price_usd_per_hour_instance / row.gpus_per_instance
        assert share == pytest.approx(row.price_usd_per_gpu_hour, abs=1e-4), _label(row)


def test_prices_are_in_usd_an_hour(prices: list[PriceRow]) -> None:
    for row in prices:
        assert 0.05 <= row.price_usd_per_gpu_hour <= 40, _label(row)
        assert row.gpus_per_instance in (1, 2, 4, 8, 16), _label(row)


def test_spot_is_not_dearer_than_on_demand(prices: list[PriceRow]) -> None:
    on_demand = {
        (row.provider, row.gpu_key, row.gpus_per_instance, row.instance_type, row.region): row
        for row in prices
        if row.pricing == "on_demand"
    }
    for row in prices:
        key = (row.provider, row.gpu_key, row.gpus_per_instance, row.instance_type, row.region)
        if row.pricing == "spot" and key in on_demand:
            assert row.price_usd_per_gpu_hour <= on_demand[key].price_usd_per_gpu_hour, _label(row)


def test_the_cheapest_of_a_group_is_marked(prices: list[PriceRow]) -> None:
    groups: dict[tuple[str, str, int, str], list[PriceRow]] = defaultdict(list)
    for row in prices:
        groups[row.provider, row.gpu_key, row.gpus_per_instance, row.pricing].append(row)
    for rows in groups.values():
        least = min(row.price_usd_per_hour_instance for row in rows)
        for row in rows:
            assert row.cheapest_in_group == (row.price_usd_per_hour_instance == least), _label(row)


def test_what_is_counted_or_summed_says_so(prices: list[PriceRow]) -> None:
    for row in prices:
        assert row.note or not row.derived, _label(row)
        assert row.note or row.sold_as == "instance", _label(row)


def test_eight_cards_do_not_cost_less_than_half_of_eight_times_one() -> None:
    """A whole machine is discounted, not given away: one GPU's price taken for an instance's is eight times off."""
    for gpu in list_gpus():
        one, eight = cheapest_price(gpu.key, 1), cheapest_price(gpu.key, 8)
        if one is not None and eight is not None:
            share = eight.price_usd_per_hour_instance / (8 * one.price_usd_per_gpu_hour)
            assert share > 0.5, f"{gpu.key}: {_label(eight)} at {share:.2f} of eight times {_label(one)}"
