"""The question to take away: the link that opens the page with it, and the command that gives the same answer."""

import shlex
from typing import Any
from urllib.parse import urlencode

from planner.schema import PlanRequest
from ui.state import Values, default, in_force, leaves


def query(values: Values) -> dict[str, str]:
    """The URL's parameters for these inputs: those that differ from the defaults, as the page writes them."""
    return {key: _url_text(value) for key, value in in_force(values) if value != default(key)}


def _url_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def link(base_url: str, values: Values) -> str:
    """The address that opens the page with these inputs."""
    parameters = urlencode(query(values))
    address = f"{base_url.rstrip('/')}/"
    return f"{address}?{parameters}" if parameters else address


def cli_command(request: PlanRequest) -> str:
    """The command that gives the same answer; a model given as its config travels in the request's file."""
    if not isinstance(request.model, str):
        return "tunebudget plan --request request.json"
    words = ["tunebudget", "fit", str(request.model), "--method", request.method]
    for path, value in leaves(request.model_dump(exclude_unset=True, exclude={"model", "method", "id"})):
        words += flag(path, value)
    return shlex.join(words)


def flag(path: tuple[str, ...], value: Any) -> list[str]:
    """A field as the command line spells it."""
    name = {("lora", "r"): "lora-r", ("pricing", "kind"): "pricing"}.get(path, path[-1]).replace("_", "-")
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [f"--{name}", ",".join(value) if isinstance(value, (list, tuple)) else str(value)]
