"""``fit MODEL --gpu G``: will it fit, how much fits, and what to change."""

from dataclasses import asdict
from datetime import date
from typing import Any

import click

from planner.advise import Suggestion, advise, apply_changes
from planner.answer import Plan
from planner.catalog import find_gpu
from planner.cli.boundary import DOES_NOT_FIT, FITS
from planner.cli.options import json_option, request_fields, request_options
from planner.cli.output import print_json, print_report
from planner.errors import RequestError
from planner.estimate import estimate
from planner.limits import largest_batch, longest_sequence
from planner.report import Text, comparison_table, fit_report
from planner.schema import METHODS, PlanRequest, parse_request


@click.command("fit")
@click.argument("model")
@request_options()
@json_option
def command(model: str, as_json: bool, **flags: Any) -> int:
    """Will MODEL train on a GPU, how much fits, and what to change.

    MODEL is a name of the catalogue (`tunebudget models`) or a path to a config.json. Without --method, all methods
    are compared, and the one that fits with the least memory is shown in detail.
    """
    fields = request_fields(flags) | {"model": model}
    if "gpu" not in fields:
        raise RequestError("--gpu is missing: fit needs a card to fit on; `tunebudget gpus` lists them", "gpu")
    requests = _requests(fields)
    plans = [estimate(request) for request in requests]
    best = _least(plans)
    _show(requests[best], plans, best, as_json)
    return DOES_NOT_FIT if plans[best].verdict == "does not fit" else FITS


def _requests(fields: dict[str, Any]) -> list[PlanRequest]:
    """The request, or one for each method where none is named."""
    if "method" in fields:
        return [parse_request(fields)]
    base = parse_request({**fields, "method": "qlora"})
    return [apply_changes(base, {"method": method}) for method in METHODS]


def _least(plans: list[Plan]) -> int:
    """The plan to show: of those that fit, or else of all, the one with the least memory."""
    order = {"fits": 0, "tight": 1, "does not fit": 2, None: 3}
    return min(range(len(plans)), key=lambda i: (order[plans[i].verdict], plans[i].needed_bytes))


def _show(request: PlanRequest, plans: list[Plan], best: int, as_json: bool) -> None:
    plan, suggestions = plans[best], advise(request, plans[best])
    batch, length = largest_batch(request), longest_sequence(request)
    if as_json:
        print_json(_answer(plan, plans, batch, length, suggestions))
        return
    card = find_gpu(request.gpu).name if request.gpu else ""
    side_by_side = (comparison_table(plans), Text(_chosen(plan))) if len(plans) > 1 else ()
    print_report((*side_by_side, *fit_report(request, plan, card, batch, length, suggestions, date.today())))


def _chosen(plan: Plan) -> str:
    start = "None fits; in" if plan.verdict == "does not fit" else "In"
    return f"{start} detail, the one with the least memory ({plan.method}):"


def _answer(
    plan: Plan, plans: list[Plan], batch: int | None, length: int | None, suggestions: tuple[Suggestion, ...]
) -> dict[str, Any]:
    """The plan's own fields, and what fit adds to them."""
    fields = {
        "largest_batch": batch,
        "longest_sequence": length,
        "suggestions": [asdict(suggestion) for suggestion in suggestions],
    }
    figures = {"needed_bytes", "device_bytes", "low_bytes", "high_bytes", "headroom_bytes"}
    money = {"train_hours", "cost_usd", "usd_per_million_tokens"}
    names = money | {"method", "trainable_params", "verdict"} | figures
    methods = {"methods": [p.model_dump(mode="json", include=names) for p in plans]} if len(plans) > 1 else {}
    return plan.model_dump(mode="json") | fields | methods
