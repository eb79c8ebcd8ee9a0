"""Prices of a plan's cards, worked through by hand from the tables' own rows."""

import pytest

from planner.catalog import find_gpu, list_prices, ownership_default
from planner.cost.break_even import BreakEven, break_even
from planner.cost.cost import cost_of, train_hours
from planner.cost.owned import Ownership, ownership
from planner.cost.rate import rate_of
from planner.dataset import DatasetSettings
from planner.pricing import PricingSettings
from planner.schema import PlanRequest, parse_request

OWNED = {
    "kind": "owned",
    "purchase_price_usd": 2000,
    "host_price_usd": 1000,
    "useful_life_years": 4,
    "power_w": 400,
    "host_power_w": 100,
    "power_usage_effectiveness": 1.2,
    "electricity_usd_per_kwh": 0.25,
    "utilization": 0.5,
}


def request(gpu: str, num_gpus: int = 1, num_nodes: int = 1, **pricing: object) -> PlanRequest:
    shared = {"parallelism": {"strategy": "ddp"}} if num_gpus > 1 else {}
    fields = {"model": "llama-3.2-1b", "method": "lora", "gpu": gpu, "num_gpus": num_gpus, "num_nodes": num_nodes}
    return parse_request(fields | shared | ({"pricing": pricing} if pricing else {}))


def test_the_smallest_instance_that_holds_the_cards_is_paid_whole() -> None:
    """AWS sells the A100 of 40 GB by eight only: one card of them costs what eight do."""
    rate = rate_of(request("a100-40gb-sxm", 1, provider="aws"), find_gpu("a100-40gb-sxm"))
    (row,) = list_prices("a100-40gb-sxm", provider="aws")
    assert rate.price is not None
    assert rate.price.usd_per_hour == row.price_usd_per_hour_instance
    assert (rate.price.gpus, rate.price.instances, rate.price.instance) == (8, 1, row.instance_type)
    assert "1 of 8 cards that are paid for are used" in rate.price.note
    assert (rate.price.as_of, rate.price.source) == (row.as_of, row.source_url)


def test_several_nodes_are_several_instances() -> None:
    rate = rate_of(request("h100-sxm", 16, 2, provider="aws"), find_gpu("h100-sxm"))
    (row,) = (r for r in list_prices("h100-sxm", 8, provider="aws"))
    assert rate.price is not None
    assert rate.price.usd_per_hour == pytest.approx(2 * row.price_usd_per_hour_instance)
    assert (rate.price.gpus, rate.price.instances) == (16, 2)


def test_more_cards_than_any_machine_has_are_not_priced() -> None:
    rate = rate_of(request("h100-sxm", 16), find_gpu("h100-sxm"))
    assert rate.price is None and rate.usd(5.0) is None
    assert "16 x H100 SXM5 80 GB" in rate.missing and "\n" not in rate.missing


@pytest.mark.parametrize(("kind", "gpu"), [("spot", "a30"), ("on_demand", "mi355x"), ("reserved", "h100-sxm")])
def test_what_nobody_offers_says_so(kind: str, gpu: str) -> None:
    found = cost_of(request(gpu, kind=kind, provider="aws"), find_gpu(gpu), 1, 10.0)
    assert found.usd is None and found.price is None
    assert found.missing.startswith(f"no {kind.replace('_', ' ')} price of one machine with 1 x")
    assert "at aws" in found.missing


def test_spot_pays_for_the_hours_that_interruptions_take() -> None:
    rate = rate_of(request("rtx-4090", kind="spot", restart_allowance=0.2), find_gpu("rtx-4090"))
    least = min(r.price_usd_per_hour_instance for r in list_prices("rtx-4090", pricing="spot"))
    assert rate.price is not None and rate.price.usd_per_hour == least
    assert rate.usd(8.0) == pytest.approx(8 / 0.8 * least)
    assert rate.usd_per_million_tokens(1000.0) == pytest.approx(1e6 / 1000 / 3600 / 0.8 * least)


def test_the_restart_allowance_left_open_is_the_tables() -> None:
    rate = rate_of(request("rtx-4090", kind="spot"), find_gpu("rtx-4090"))
    assert rate.lost_share == ownership_default("restart_allowance").value > 0


def test_owned_cards_are_written_off_over_their_hours_of_work() -> None:
    gpu = find_gpu("rtx-4090")
    terms = ownership(gpu, 2, 1, PricingSettings.model_validate(OWNED))
    assert isinstance(terms, Ownership)
    purchase, hours = 2 * 2000 + 1000, 4 * 8760 * 0.5
    kilowatts = 2 * (400 + 100) / 1000 * 1.2
    assert (terms.purchase_usd, terms.working_hours) == (purchase, pytest.approx(hours))
    assert terms.kilowatts == pytest.approx(kilowatts)
    assert terms.usd_per_hour == pytest.approx(purchase / hours + kilowatts * 0.25)
    cost = cost_of(request("rtx-4090", 2, **OWNED), gpu, 2, 100.0)
    assert cost.usd == pytest.approx(100 * terms.usd_per_hour)
    assert cost.energy_kwh == pytest.approx(100 * kilowatts)


def test_a_card_without_a_launch_price_needs_one() -> None:
    gpu = find_gpu("h100-sxm")
    assert "purchase_price_usd" in rate_of(request("h100-sxm", kind="owned"), gpu).missing
    priced = rate_of(request("h100-sxm", kind="owned", purchase_price_usd=30_000), gpu)
    assert priced.price is not None and priced.price.usd_per_hour > 30_000 / (5 * 8760)


def test_the_launch_price_is_the_catalogues() -> None:
    gpu = find_gpu("rtx-4090")
    terms = ownership(gpu, 1, 1, PricingSettings(kind="owned"))
    assert isinstance(terms, Ownership) and terms.purchase_usd == gpu.launch_msrp_usd
    life = ownership_default("useful_life_years").value * 8760 * ownership_default("utilization").value
    assert terms.working_hours == pytest.approx(life)


def test_buying_breaks_even_where_the_curves_cross() -> None:
    gpu = find_gpu("rtx-4090")
    found = break_even(request("rtx-4090", **OWNED), gpu)
    assert isinstance(found, BreakEven)
    rent = min(r.price_usd_per_hour_instance for r in list_prices("rtx-4090", pricing="on_demand"))
    electricity = (400 + 100) / 1000 * 1.2 * 0.25
    assert found.hours == pytest.approx((2000 + 1000) / (rent - electricity))
    assert found.rent.usd_per_hour == rent and found.pays_off == (found.hours < 4 * 8760 * 0.5)
    for point in found.curve:
        assert point.rented_usd == pytest.approx(point.hours * rent)
        assert (point.owned_usd < point.rented_usd) == (point.hours > found.hours)


def test_buying_never_pays_where_electricity_costs_more_than_rent() -> None:
    terms = OWNED | {"electricity_usd_per_kwh": 10}
    found = break_even(request("rtx-4090", **terms), find_gpu("rtx-4090"))
    assert isinstance(found, BreakEven) and found.hours is None and not found.pays_off


def test_hours_follow_from_tokens() -> None:
    dataset = DatasetSettings(num_examples=1000, mean_length=500, num_train_epochs=2)
    assert train_hours(dataset, 250.0) == pytest.approx(1000 * 500 * 2 / 250 / 3600)
