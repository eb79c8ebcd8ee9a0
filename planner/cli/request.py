"""The request of a command: from MODEL and flags, or from a file whose fields the flags replace."""

from typing import Any

from planner.errors import RequestError
from planner.schema import PlanRequest, parse_request


def request_of(path: str | None, fields: dict[str, Any]) -> PlanRequest:
    """The request of MODEL and flags, put over the file's where one is given.

    Raises RequestError where a field breaks a rule or the model or method is missing.
    """
    return parse_request(_with_file(path, fields))


def _with_file(path: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    if path is None:
        return _checked(fields)
    from planner.cli.files import read_request

    return _merged(read_request(path), fields)


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Refuse with the flag's name what a file would be refused for with the field's."""
    if "model" not in fields:
        raise RequestError("MODEL is missing: give a model and --method, --request FILE, or --batch FILE", "model")
    if "method" not in fields:
        raise RequestError("--method is missing: give full, lora or qlora (`tunebudget fit` compares them)", "method")
    return fields


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` put into `base`, settings of sub-models one by one."""
    merged = dict(base)
    for name, value in over.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
