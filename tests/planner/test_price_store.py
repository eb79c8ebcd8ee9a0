"""A user's own price lists beside the table that ships."""

from datetime import date
from pathlib import Path

import pytest

from planner.catalog import PriceRow, cheapest_price, list_prices
from planner.catalog.price_store import REFRESHED, folder, write_list
from planner.errors import CatalogError


def row(**fields: object) -> PriceRow:
    base = {
        "provider": "acme",
        "gpu_key": "h100-sxm",
        "gpus_per_instance": 1,
        "sold_as": "instance",
        "region_scope": "own",
        "price_usd_per_hour_instance": 0.5,
        "price_usd_per_gpu_hour": 0.5,
        "pricing": "on_demand",
        "as_of": date(2026, 11, 1),
        "as_of_basis": "own contract",
        "date_confidence": "dated",
        "derived": False,
        "cheapest_in_group": True,
        "source_url": "contract.csv",
        "collected": date(2026, 11, 2),
        "origin": "contract",
    }
    return PriceRow.model_validate(base | fields)


def test_a_contract_takes_part_by_its_price_and_name() -> None:
    before = cheapest_price("h100-sxm", 1)
    write_list("contracts-1.csv", [row()])
    after = cheapest_price("h100-sxm", 1)
    assert after is not None and (after.provider, after.price_usd_per_hour_instance) == ("acme", 0.5)
    assert before is not None and before in list_prices("h100-sxm")
    assert cheapest_price("h100-sxm", 1, provider="ACME") == after
    assert cheapest_price("h100-sxm", 1, "reserved") is None


def test_the_later_of_two_contracts_on_one_offer_is_in_force() -> None:
    write_list("contracts-2.csv", [row(price_usd_per_hour_instance=0.7, as_of=date(2026, 11, 3))])
    write_list("contracts-9.csv", [row(price_usd_per_hour_instance=0.6)])
    (found,) = list_prices("h100-sxm", provider="acme")
    assert found.price_usd_per_hour_instance == 0.7
    assert len(list(folder().glob("contracts-*.csv"))) == 2


def test_a_refresh_replaces_a_providers_offers_of_a_card_and_no_others() -> None:
    shipped = list_prices(provider="aws")
    write_list(REFRESHED, [row(provider="aws", instance_type="p9.x", origin="refreshed")])
    now = list_prices(provider="aws")
    assert [r.instance_type for r in now if r.gpu_key == "h100-sxm"] == ["p9.x"]
    assert [r for r in now if r.gpu_key != "h100-sxm"] == [r for r in shipped if r.gpu_key != "h100-sxm"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("provider,gpu_key\nacme,h100-sxm\n", "line 2, column"),
        ("provider,gpu_key\nacme\n", "line 2: more or fewer cells"),
        ("provider,gpu_key\nacme,h100-sxm,9\n", "line 2: more or fewer cells"),
    ],
)
def test_a_list_broken_by_hand_is_one_line_that_names_it(text: str, told: str) -> None:
    path = folder() / "contracts-1.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(CatalogError) as found:
        list_prices("h100-sxm")
    assert str(path) in found.value.message and told.split(", ")[0] in found.value.message
    assert "\n" not in found.value.message


def test_a_folder_that_cannot_be_written_is_one_line(data_folder: Path) -> None:
    (data_folder / "prices").write_text("in the way")
    with pytest.raises(CatalogError, match="nothing was kept"):
        write_list("contracts-1.csv", [row()])


def test_rows_survive_being_written_and_read() -> None:
    rows = [
        row(vcpus=8, ram_gib=64.5, note='a "quoted", note', region="eu"),
        row(as_of=None, date_confidence="undated"),
    ]
    write_list("contracts-1.csv", rows)
    assert sorted(list_prices(provider="acme"), key=lambda r: r.region) == sorted(rows, key=lambda r: r.region)
