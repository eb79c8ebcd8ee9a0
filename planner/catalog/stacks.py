"""Stacks: what each sets where a request leaves a field open, by version, from data/stacks.csv."""

from functools import cache

from planner.catalog.rows.stack import StackRow
from planner.catalog.tables import read_table

_TABLE = "stacks.csv"


@cache
def list_stacks(stack: str | None = None) -> tuple[StackRow, ...]:
    """All rows, or those of one stack, in the order of the table."""
    table = read_table(_TABLE)
    names = table.column("stack")
    return tuple(
        table.validated(number, StackRow) for number, name in enumerate(names) if stack is None or name == stack
    )


@cache
def stack_values(stack: str, version: str, method: str) -> tuple[StackRow, ...]:
    """What the stack sets in this version (blank: the newest that was looked at), one row a field."""
    found: dict[str, StackRow] = {}
    for row in list_stacks(stack):
        if row.method not in ("", method) or (version and row.since and _number(row.since) > _number(version)):
            continue
        before = found.get(row.field)
        if before is None or _rank(row) >= _rank(before):
            found[row.field] = row
    return tuple(found.values())


def _rank(row: StackRow) -> tuple[tuple[int, ...], bool]:
    """A later version, then a method's own value, comes first."""
    return _number(row.since), bool(row.method)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")) if version else ()
