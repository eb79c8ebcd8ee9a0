"""The rows of data/*.csv: one frozen pydantic model a table, units in the names, provenance required."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Text = Annotated[str, Field(min_length=1)]


def _split(value: object) -> object:
    return tuple(value.split("|")) if isinstance(value, str) else value


#: Several names in one cell, separated by "|".
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]


class Row(BaseModel):
    """One row of a table; its validator is built when the first row is read, not at import."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)
