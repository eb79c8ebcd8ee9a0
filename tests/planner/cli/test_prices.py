"""``prices`` on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from planner.catalog import find_gpu, list_prices
from planner.catalog.prices import offers

Run = Callable[..., Result]


def test_machines_that_hold_the_cards_come_cheapest_first(run: Run) -> None:
    rows = json.loads(run("prices", "--gpu", "H100", "--num-gpus", "4", "--pricing", "on_demand", "--json").stdout)
    expected = offers(find_gpu("H100").key, 4, "on_demand")
    assert [r["price_usd_per_hour_instance"] for r in rows] == [r.price_usd_per_hour_instance for r in expected]
    assert rows and all(r["gpus_per_instance"] >= 4 and r["source_url"] for r in rows)
    assert all(r["as_of"] or r["indicative"] for r in rows)


def test_every_price_of_the_table_has_a_date_or_a_mark_and_a_source(run: Run) -> None:
    lines = run("prices").stdout.splitlines()
    rows = [line for line in lines[1:] if "https://" in line]
    assert len(rows) >= 337
    assert all("2026-" in line for line in rows)
    assert sum("no date, seen 2026-11-21: indicative" in line for line in rows) == sum(
        row.as_of is None for row in list_prices()
    )
    assert "indicative" in lines[-1]


def test_nothing_priced_says_so(run: Run) -> None:
    result = run("prices", "--gpu", "rtx-2080-ti")
    assert result.exit_code == 0 and result.stdout.startswith("No price is known")


def test_a_number_of_cards_needs_a_card(run: Run) -> None:
    result = run("prices", "--num-gpus", "4")
    assert result.exit_code == 2 and "--gpu" in result.stderr and result.stderr.count("\n") == 1


def test_contracts_are_taken_in_and_priced(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("provider,gpu,gpus_per_instance,usd_per_hour,as_of\nacme,L4,1,0.01,2026-11-01\n")
    taken = run("prices", "--import", str(own))
    assert taken.exit_code == 0 and "own contract" in taken.stdout
    assert "acme" in run("prices", "--gpu", "l4", "--num-gpus", "1").stdout.splitlines()[1]
    plan = json.loads(run("plan", "llama-3.2-1b", "--method", "lora", "--gpu", "l4", "--json").stdout)
    assert (plan["price"]["provider"], plan["price"]["usd_per_hour"], plan["price"]["as_of"]) == (
        "acme",
        0.01,
        "2026-11-01",
    )


def test_broken_contracts_are_one_line_each(run: Run, tmp_path: Path) -> None:
    own = tmp_path / "own.csv"
    own.write_text("provider,gpu,usd_per_hour,as_of\nacme,L4,-1,2026-11-01\nacme,none,1,2026-11-01\n")
    result = run("prices", "--import", str(own))
    lines = result.stderr.splitlines()
    assert result.exit_code == 2 and not result.stdout
    assert [line.split(":")[1].strip() for line in lines[:2]] == ["line 2", "line 3"]
    assert len(lines) == 3 and lines[2].endswith("nothing was imported")


def test_offline_the_dated_prices_stay_in_force(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUHUNT_CATALOG_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("GPUHUNT_CATALOG_DIR", raising=False)
    result = run("prices", "--refresh", "--gpu", "l4")
    assert result.exit_code == 0 and "https://" in result.stdout
    assert result.stderr.count("\n") == 1 and "not refreshed" in result.stderr


def test_the_cost_flags_fill_the_request(run: Run) -> None:
    flags = ("--pricing", "owned", "--purchase-price-usd", "1000", "--utilization", "1", "--useful-life-years", "1")
    plan = json.loads(run("plan", "llama-3.2-1b", "--method", "lora", "--gpu", "rtx-4090", *flags, "--json").stdout)
    assert plan["price"]["pricing"] == "owned" and plan["price"]["usd_per_hour"] > 1000 / 8760
