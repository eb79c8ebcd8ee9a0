"""``compare MODEL``: methods and GPUs side by side."""

from typing import Any

import click

from planner.advise import apply_changes
from planner.answer import Plan
from planner.cli.boundary import DOES_NOT_FIT, FITS
from planner.cli.options import json_option, listed, request_fields, request_options
from planner.cli.output import print_json, print_report
from planner.estimate import estimate
from planner.report import Text, comparison_table, step_text
from planner.schema import METHODS, PlanRequest, parse_request


@click.command("compare")
@click.argument("model")
@click.option("--methods", multiple=True, metavar="METHOD[,METHOD...]", help=f"[default: {','.join(METHODS)}]")
@click.option("--gpu", "gpus", multiple=True, metavar="GPU[,GPU...]", help="Cards to compare; may be repeated.")
@request_options("method", "gpu")
@json_option
def command(model: str, methods: tuple[str, ...], gpus: tuple[str, ...], as_json: bool, **flags: Any) -> int:
    """Methods and GPUs side by side for one MODEL, everything else equal."""
    base = parse_request(request_fields(flags) | {"model": model, "method": "qlora"})
    requests = [
        apply_changes(base, {"method": method, **card})
        for card in [{"gpu": gpu} for gpu in listed(gpus)] or [{}]
        for method in listed(methods) or METHODS
    ]
    plans = [estimate(request) for request in requests]
    _show(base, plans, as_json)
    fits = any(plan.verdict != "does not fit" for plan in plans)
    return FITS if fits else DOES_NOT_FIT


def _show(request: PlanRequest, plans: list[Plan], as_json: bool) -> None:
    if as_json:
        print_json({"plans": [plan.model_dump(mode="json") for plan in plans]})
        return
    print_report((Text(f"{plans[0].model}, {step_text(request)}: estimated."), comparison_table(plans)))
