"""``plan``: the whole estimate of one request, or one answer a line for a stream of requests."""

from datetime import date
from typing import Any

import click

from planner.answer import Plan
from planner.catalog import find_gpu
from planner.cli.boundary import DOES_NOT_FIT, FITS
from planner.cli.options import json_option, request_fields, request_options
from planner.cli.output import print_json, print_report
from planner.cli.request import request_of
from planner.errors import RequestError
from planner.estimate import estimate
from planner.report import plan_report
from planner.schema import PlanRequest


@click.command("plan")
@click.argument("model", required=False)
@click.option("--request", "request_file", metavar="FILE", help="A request as JSON; - is standard input.")
@click.option("--batch", "batch_file", metavar="FILE", help="One JSON request a line; - is standard input.")
@click.option("--trace", "by_trace", is_flag=True, help="Take the tensors' bytes from a trace, for any model_type.")
@click.option("--calibrated", is_flag=True, help="With this machine's own constants, as `calibrate --write` kept them.")
@request_options()
@json_option
def command(
    model: str | None,
    request_file: str | None,
    batch_file: str | None,
    by_trace: bool,
    calibrated: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """The whole estimate: every term of memory, the timeline of a step, and the verdict on a card.

    The request comes from MODEL and flags, from a file (--request; flags given beside it replace its fields), or
    as one JSON request a line (--batch; one JSON answer a line, in order).

    With --trace the bytes of tensors come from the installed transformers, PEFT and bitsandbytes, run on fake tensors
    at a few small sizes and fitted: for a model_type that the planner does not know, or to check one that it does.
    The fit is kept in the user's cache, so that the next size of the same model and settings takes no time.
    """
    fields = request_fields(flags) | ({} if model is None else {"model": model})
    if batch_file is not None:
        _only_batch(fields, request_file, by_trace, calibrated)
        from planner.cli.batch import run_batch

        return run_batch(batch_file)
    request = request_of(request_file, fields)
    plan = _plan(request, by_trace)
    if calibrated:
        from planner.runs.calibrated import on_this_machine

        plan = on_this_machine(request, plan)
    _show(request, plan, as_json)
    return DOES_NOT_FIT if plan.verdict == "does not fit" else FITS


def _plan(request: PlanRequest, by_trace: bool) -> Plan:
    if not by_trace:
        return estimate(request)
    from planner.cli.plan_trace import plan_by_trace

    return plan_by_trace(request)


def _only_batch(fields: dict[str, Any], request_file: str | None, by_trace: bool, calibrated: bool) -> None:
    given = {"--request": request_file is not None, "--trace": by_trace, "--calibrated": calibrated}
    names = [name for name, is_given in given.items() if is_given] + list(fields)
    if names:
        raise RequestError(f"--batch goes alone (given: {', '.join(names)}): each line of its file is a whole request")


def _show(request: PlanRequest, plan: Plan, as_json: bool) -> None:
    if as_json:
        print_json(plan.model_dump(mode="json"))
        return
    print_report(plan_report(request, plan, find_gpu(request.gpu).name if request.gpu else None, date.today()))
