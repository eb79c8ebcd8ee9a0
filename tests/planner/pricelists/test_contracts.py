"""A user's contracts: taken in whole or not at all, and never lost."""

from datetime import date
from pathlib import Path

import pytest

from planner.catalog import cheapest_price, list_prices
from planner.catalog.price_store import folder
from planner.errors import RequestError
from planner.pricelists.contracts import ContractErrors, take_in

TODAY = date(2026, 11, 24)
HEADER = "provider,gpu,gpus_per_instance,pricing,usd_per_hour,usd_per_month,as_of\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_hourly_and_monthly_prices_take_part_under_their_provider(tmp_path: Path) -> None:
    rows = "acme,H100 SXM,8,on_demand,8.00,,2026-11-01\nacme,h100-sxm,8,reserved,,7300,2026-11-01\n"
    taken = take_in(written(tmp_path / "own.csv", HEADER + rows), TODAY)
    assert len(taken.rows) == 2 and taken.is_new
    hourly, monthly = cheapest_price("h100-sxm", 5), cheapest_price("h100-sxm", 5, "reserved")
    assert hourly is not None and monthly is not None
    assert (hourly.provider, hourly.price_usd_per_hour_instance, hourly.price_usd_per_gpu_hour) == ("acme", 8, 1)
    assert monthly.price_usd_per_hour_instance == pytest.approx(7300 / 730)
    assert "7,300.00 USD a month" in monthly.note and monthly.source_url == "own contract, own.csv"


def test_the_next_import_keeps_what_was_imported_before(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", HEADER + "acme,l4,1,on_demand,0.10,,2026-11-01\n")
    second = written(tmp_path / "b.csv", HEADER + "acme,t4,1,on_demand,0.05,,2026-11-01\n")
    assert take_in(first, TODAY).is_new and take_in(second, TODAY).is_new
    again = take_in(first, TODAY)
    assert not again.is_new and len(list(folder().iterdir())) == 2
    assert {row.gpu_key for row in list_prices(provider="acme")} == {"l4", "t4"}


def test_each_broken_row_is_one_line_and_nothing_is_kept(tmp_path: Path) -> None:
    rows = (
        "acme,no-such-card,1,on_demand,1,,2026-11-01\n"
        "acme,l4,1,on_demand,1,,2026-11-01\n"
        "acme,l4,1,weekly,1,,2026-11-01\n"
        "acme,l4,1,spot,-1,,2026-11-01\n"
        "acme,l4,1,spot,1,2,2026-11-01\n"
        "acme,l4,1,spot,,,2026-11-01\n"
        "acme,l4,1,spot,1,,2027-01-01\n"
        "acme,l4,1,spot,1,,yesterday\n"
        "acme,l4,many,spot,1,,2026-11-01\n"
        ",l4,1,spot,1,,2026-11-01\n"
        "acme,l4,1,spot,nan,,2026-11-01\n"
        "acme,l4,1,spot,1,,2026-11-01,and more\n"
    )
    with pytest.raises(ContractErrors) as found:
        take_in(written(tmp_path / "own.csv", HEADER + rows), TODAY)
    numbers = [int(line.split(":")[0].removeprefix("line ")) for line in found.value.lines]
    assert numbers == [2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert not any("\n" in line for line in found.value.lines)
    assert "no-such-card" in found.value.lines[0] and "pricing" in found.value.lines[1]
    assert not folder().exists() and not list_prices(provider="acme")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no column 'provider'"),
        (b"provider,gpu,as_of\n", "no rows"),
        (b"provider,gpu,as_of,price\nacme,l4,2026-11-01,1\n", "unknown column 'price'"),
        (b"provider,gpu,usd_per_hour\nacme,l4,1\n", "no column 'as_of'"),
        (b"provider,provider,gpu,as_of\n", "one twice"),
        (b"\xff\xfe\x00", "not text in UTF-8"),
        (b'provider,gpu,as_of\n"acme,l4', "no csv"),
    ],
)
def test_what_is_no_list_of_contracts_is_one_line(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content)
    with pytest.raises(RequestError) as found:
        take_in(path, TODAY)
    assert told in found.value.message and "\n" not in found.value.message


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file"):
        take_in(tmp_path / "none.csv", TODAY)
