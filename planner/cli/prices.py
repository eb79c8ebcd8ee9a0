"""``prices``: what cards cost, where, and when that was so; refreshed prices and one's own contracts."""

import sys
from datetime import date
from pathlib import Path
from typing import get_args

import click

from planner.catalog import PriceRow, find_gpu, list_prices
from planner.catalog.prices import check_provider, offers
from planner.catalog.rows.price import Pricing
from planner.cli.boundary import BAD_INPUT, FITS
from planner.cli.options import json_option
from planner.cli.output import note, print_json, print_report
from planner.cost.age import age_days, is_indicative
from planner.errors import RequestError
from planner.report import Text
from planner.report_prices import price_table, prices_text


@click.command("prices")
@click.option("--gpu", metavar="GPU", help="A card of the catalogue.")
@click.option("--num-gpus", type=click.IntRange(1, 1024), help="Machines that hold so many cards.")
@click.option("--pricing", type=click.Choice(get_args(Pricing)), help="How they are paid for.")
@click.option("--provider", metavar="NAME", help="Whose they are.")
@click.option("--refresh", is_flag=True, help="Fetch today's prices through gpuhunt first.")
@click.option("--import", "import_", metavar="FILE", help="Take in a csv file of your own contracts.")
@json_option
def command(
    gpu: str | None,
    num_gpus: int | None,
    pricing: Pricing | None,
    provider: str | None,
    refresh: bool,
    import_: str | None,
    as_json: bool,
) -> int:
    """Prices of cards by the hour, the cheapest first, each with its date and source; old ones are marked.

    The table that ships is a dated snapshot. --refresh keeps newer prices in your data folder; --import keeps your
    own contracts there: a csv file with the columns provider, gpu, gpus_per_instance, pricing (on_demand, spot,
    reserved), usd_per_hour or usd_per_month (of the whole machine), as_of, and as you like instance_type, region,
    sold_as, source, note. Plans take the cheapest of all that holds their cards.
    """
    today = date.today()
    if refresh:
        _refresh(today)
    if import_ is not None:
        return _take_in(Path(import_), today, as_json)
    rows = _found(None if gpu is None else find_gpu(gpu).key, num_gpus, pricing, provider)
    if as_json:
        print_json([_json(row, today) for row in rows])
    else:
        print_report((price_table(rows, today), Text(prices_text(rows, today))) if rows else (Text(_nothing()),))
    return FITS


def _found(gpu_key: str | None, num_gpus: int | None, pricing: Pricing | None, provider: str | None) -> list[PriceRow]:
    if provider is not None:
        check_provider(provider)
    if gpu_key is not None and num_gpus is not None:
        return offers(gpu_key, num_gpus, pricing, provider)
    if num_gpus is not None:
        raise RequestError("--num-gpus goes with --gpu: name the card whose machines are meant")
    rows = list_prices(gpu_key, pricing=pricing, provider=provider)
    return sorted(rows, key=lambda row: (row.gpu_key, row.is_indicative, row.price_usd_per_gpu_hour))


def _nothing() -> str:
    return "No price is known for this; `tunebudget prices` lists all, `--import` takes your own."


def _json(row: PriceRow, today: date) -> dict[str, object]:
    marks = {"age_days": age_days(row, today), "indicative": is_indicative(row, today)}
    return row.model_dump(mode="json") | marks


def _refresh(today: date) -> None:
    from planner.pricelists.hunted import NotRefreshed
    from planner.pricelists.hunted import refresh as fetch

    try:
        done = fetch(today)
    except NotRefreshed as error:
        note(f"prices are not refreshed: {error.message}; the dated prices at hand stay in force")
        return
    left_out = f"; {done.unknown_offers:,} offers of cards unknown here are left out" if done.unknown_offers else ""
    note(f"{len(done.rows):,} prices of {', '.join(done.providers)} are kept in {done.path}{left_out}")


def _take_in(path: Path, today: date, as_json: bool) -> int:
    from planner.pricelists.contracts import ContractErrors, take_in

    try:
        taken = take_in(path, today)
    except ContractErrors as error:
        for line in (*error.lines, error.message):
            print("error:", line, file=sys.stderr)
        return BAD_INPUT
    if as_json:
        rows = [_json(row, today) for row in taken.rows]
        print_json({"imported": len(rows) * taken.is_new, "file": str(taken.path), "rows": rows})
        return FITS
    before = "" if taken.is_new else " (they were there already)"
    print_report((price_table(taken.rows, today), Text(f"Kept in {taken.path}{before}.")))
    return FITS
