"""``stacks [STACK]``: what each stack sets where a request leaves it open."""

import click

from planner.catalog import StackRow, list_stacks
from planner.cli.options import json_option
from planner.cli.output import print_json, print_report
from planner.errors import RequestError
from planner.report import Column, Table
from planner.schema import STACKS

_COLUMNS = (
    Column("stack"),
    Column("from version"),
    Column("method"),
    Column("field"),
    Column("value"),
    Column("source"),
    Column("note"),
)


@click.command("stacks")
@click.argument("stack", required=False)
@json_option
def command(stack: str | None, as_json: bool) -> None:
    """The catalogue's stacks: all, or STACK alone.

    A stack fills only the fields that a request leaves open; switch.NAME is what no field says. A version is asked
    for as NAME@VERSION.
    """
    if stack is not None and stack not in STACKS:
        raise RequestError(f"stack: {stack!r} is no stack; known: {', '.join(STACKS)}", "stack")
    rows = list_stacks(stack)
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
    else:
        print_report((Table("", _COLUMNS, tuple(map(_row, rows))),))


def _row(row: StackRow) -> tuple[str, ...]:
    value = row.value if isinstance(row.value, str) else str(row.value).lower()
    return (row.stack, row.since, row.method, row.field, value, row.source, row.note)
