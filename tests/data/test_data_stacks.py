"""Invariants of data/stacks.csv: every value can be set, is one of its field's, and says where it was read."""

from collections import Counter
from dataclasses import fields, replace
from typing import Any, get_args, get_type_hints

import pytest

from planner.catalog import StackRow, list_stacks
from planner.schema import STACKS, parse_request
from planner.switches import DEFAULT, Switches

ROWS = list_stacks()


def label(row: StackRow) -> str:
    return f"{row.stack}-{row.since}-{row.method}-{row.field}"


def test_stacks_are_those_of_the_schema() -> None:
    assert {row.stack for row in ROWS} == set(STACKS)


def test_keys_are_unique() -> None:
    assert not [key for key, count in Counter(map(label, ROWS)).items() if count > 1]


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_value_is_one_of_its_field(row: StackRow) -> None:
    if row.field.startswith("switch."):
        name = row.field.removeprefix("switch.")
        assert name in {f.name for f in fields(Switches)}
        allowed = get_args(get_type_hints(Switches)[name])
        assert row.value in allowed if allowed else isinstance(row.value, bool)
        assert getattr(replace(DEFAULT, **{name: row.value}), name) == row.value
        return
    method = row.method or "full"
    asked: dict[str, Any] = {"model": "gpt2", "method": method}
    parent, _, field = row.field.rpartition(".")
    asked |= {parent: {field: row.value}} if parent else {field: row.value}
    found = parse_request(asked)
    assert getattr(getattr(found, parent) if parent else found, field) == row.value


@pytest.mark.parametrize("row", ROWS, ids=label)
def test_source_names_a_version(row: StackRow) -> None:
    assert any(character.isdigit() for character in row.source), "name the library with its version"
    assert all(part.isdigit() for part in row.since.split(".")) or not row.since
