"""``search MODEL``: what a search over hyperparameters takes and costs, by method and schedule."""

from dataclasses import asdict
from datetime import date
from typing import Any, get_args

import click

from planner.catalog import find_gpu
from planner.cli.boundary import DOES_NOT_FIT, FITS
from planner.cli.options import json_option, listed, request_fields, request_options
from planner.cli.output import print_json, print_report
from planner.cost.hpo import Search
from planner.errors import RequestError
from planner.estimate import estimate
from planner.method_search import MethodSearch, cheapest_search, searches
from planner.report_search import search_notes, search_report
from planner.schema import METHODS, Method, PlanRequest, parse_request

_SHARE = click.FloatRange(0, 1, min_open=True)


@click.command("search")
@click.argument("model")
@click.option("--trials", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="Runs of the search.")
@click.option(
    "--trial-share",
    type=_SHARE,
    default=1.0,
    help="Of the run's hours that one trial takes: trials are often stopped early. [default: 1]",
)
@click.option(
    "--sharing-efficiency",
    type=click.FloatRange(1, 100),
    default=1.0,
    help="Speed of trials that share a card, all together, over that of one alone on it. [default: 1: no gain]",
)
@click.option("--methods", multiple=True, metavar="METHOD[,METHOD...]", help=f"[default: {','.join(METHODS)}]")
@request_options("id", "method")
@json_option
def command(model: str, as_json: bool, **flags: Any) -> int:
    """What a search over the hyperparameters of MODEL takes and costs: trials in a row, side by side, all at once.

    A trial is one run on --num-tokens (or --num-examples) with the request's cards, by each method.
    """
    methods = _known(listed(flags.pop("methods"))) or METHODS
    search = Search(flags.pop("trials"), flags.pop("trial_share"), flags.pop("sharing_efficiency"))
    request = _request(request_fields(flags) | {"model": model})
    assert request.gpu is not None
    found = searches(request, search, estimate, methods)
    if as_json:
        print_json(_answer(request, search, found))
    else:
        print_report(search_report(request, search, found, find_gpu(request.gpu).name, date.today()))
    return DOES_NOT_FIT if cheapest_search(found) is None else FITS


def _known(methods: list[str]) -> list[str]:
    known = get_args(Method)
    unknown = [method for method in methods if method not in known]
    if unknown:
        raise RequestError(f"--methods: {unknown[0]!r} is no method; use {', '.join(known)}", "method")
    return methods


def _request(fields: dict[str, Any]) -> PlanRequest:
    if "gpu" not in fields:
        raise RequestError("--gpu is missing: a search needs a card; `tunebudget gpus` lists them", "gpu")
    request = parse_request({**fields, "method": "qlora"})
    if request.dataset is None:
        raise RequestError("--num-tokens is missing: a trial's hours follow from the tokens of its run", "dataset")
    return request


def _answer(request: PlanRequest, search: Search, found: list[MethodSearch]) -> dict[str, Any]:
    best = cheapest_search(found)
    price = next((one.plan.price for one in found if one.plan is not None), None)
    return {
        "gpu": request.gpu,
        "num_gpus": request.num_gpus,
        **asdict(search),
        "cheapest_method": None if best is None else best.method,
        "methods": [_of_method(one) for one in found],
        "price": None if price is None else asdict(price),
        "notes": search_notes(search),
    }


def _of_method(one: MethodSearch) -> dict[str, Any]:
    plan = one.plan
    fields: dict[str, Any] = {"method": one.method, "verdict": None, "train_hours": None}
    if plan is not None:
        fields |= {"verdict": plan.verdict, "train_hours": plan.train_hours}
    if isinstance(one.found, str):
        return fields | {"reason": one.found, "trials_per_card": 0, "cheapest": None, "schedules": []}
    found = {"reason": None, "trials_per_card": one.found.trials_per_card, "cheapest": one.found.cheapest.name}
    return fields | found | {"schedules": [asdict(schedule) for schedule in one.found.schedules]}
