"""``trace``: the real libraries' memory for a request, on fake tensors, in a child process; beside the plan."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from planner.child import Progress, check_packages, run_child
from planner.cli.options import json_option, request_fields, request_options
from planner.cli.output import print_json, print_report
from planner.cli.request import request_of
from planner.schema import PlanRequest

TIME_LIMIT_SECONDS = 600.0


@click.command("trace")
@click.argument("model", required=False)
@click.option("--request", "request_file", metavar="FILE", help="A request as JSON; - is standard input.")
@click.option("--full", is_flag=True, help="Trace all layers instead of extrapolating from slices.")
@click.option("--compare", is_flag=True, help="Put the plan beside the trace.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=TIME_LIMIT_SECONDS,
    metavar="SECONDS",
    help="Stop the child process after this time. [default: 600]",
)
@request_options()
@json_option
def command(
    model: str | None,
    request_file: str | None,
    full: bool,
    compare: bool,
    time_limit: float,
    as_json: bool,
    **flags: Any,
) -> int:
    """Run the real transformers, PEFT and bitsandbytes code of two steps on fake tensors and follow every storage.

    No weights and no GPU are needed. The model is traced in slices of a few layers and extrapolated, which gives the
    same answer as all of them (--full).
    """
    request = request_of(request_file, request_fields(flags) | ({} if model is None else {"model": model}))
    check_packages("trace")
    with progress_bar() as show:
        answer = run_child(trace_task(request, full), show, time_limit)
    if compare:
        _show_comparison(request, answer, as_json)
    elif as_json:
        print_json(answer)
    else:
        from planner.report_levels import trace_report

        print_report(trace_report(answer["model"], answer))
    return 0


def trace_task(request: PlanRequest, full: bool) -> dict[str, Any]:
    """What the child is asked: the request with its config put in, so that the child reads no catalogue."""
    from planner.catalog import resolve_config
    from planner.stacks import in_stack

    request = in_stack(request).request
    name, config, _ = resolve_config(request.model)
    data = request.model_dump(mode="json", exclude_unset=True)
    return {"level": "trace", "name": name, "request": data | {"model": config}, "full": full}


def _show_comparison(request: PlanRequest, answer: dict[str, Any], as_json: bool) -> None:
    from planner.estimate import estimate
    from planner.levels import compare_levels
    from planner.report_levels import comparison_report, trace_report

    plan = estimate(request)
    comparison = compare_levels(plan, answer)
    if as_json:
        print_json({"plan": plan.model_dump(mode="json"), "trace": answer, "comparison": comparison.as_dict()})
        return
    print_report((*trace_report(answer["model"], answer), *comparison_report(comparison)))


@contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr where that is a terminal; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from planner.cli.colour import terminal_bar

    with terminal_bar() as show:
        yield lambda progress: show(progress.done, progress.of, progress.what)
