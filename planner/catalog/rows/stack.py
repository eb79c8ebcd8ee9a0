"""The rows of data/stacks.csv."""

import json
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from planner.catalog.rows import Row, Text


def _value(text: object) -> object:
    """JSON where the cell is JSON (true, 16), else the text itself."""
    try:
        return json.loads(text) if isinstance(text, str) else text
    except ValueError:
        return text


class StackRow(Row):
    """One value that a stack sets where the request leaves it open."""

    stack: Text
    since: str = Field("", description="first version with this value; blank: every version that was looked at")
    method: Literal["", "full", "lora", "qlora"] = Field("", description="blank: every method")
    field: Text = Field(description="path of a request's field, or switch.NAME of planner/switches.py")
    value: Annotated[Any, BeforeValidator(_value)]
    source: Text = Field(description="file and version in which the value was read")
    checked: date
    note: str = ""
