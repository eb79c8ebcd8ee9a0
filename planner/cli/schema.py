"""``schema``: the contract as JSON Schema."""

import click

from planner.cli.options import json_option
from planner.cli.output import print_json


@click.command("schema")
@click.option("--answer", is_flag=True, help="The schema of the answer instead of the request's.")
@json_option
def command(answer: bool, as_json: bool) -> None:
    """JSON Schema of a request, or of the answer (always JSON)."""
    if answer:
        from planner.answer import Plan

        print_json(Plan.model_json_schema(mode="serialization"))
    else:
        from planner.schema import PlanRequest

        print_json(PlanRequest.model_json_schema())
