"""The release of transformers that is installed: what a plan that is held against its code has to name."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from planner.catalog import stack_values
from planner.switches import DEFAULT, Modeling


@cache
def installed_stack() -> str:
    """Its `stack`: a plan that names none is one of the newest release."""
    try:
        return "transformers@" + ".".join(version("transformers").split(".")[:2])
    except PackageNotFoundError:
        return "transformers"


@cache
def fails_in_forward() -> frozenset[str]:
    """Families whose forward fails in this very release: llama4 in 5.24.0, whose output has no image_outputs."""
    try:
        return frozenset({"llama4"} if version("transformers") == "5.24.0" else ())
    except PackageNotFoundError:
        return frozenset()


def installed_modeling() -> Modeling:
    """Its models (planner/switches.py)."""
    rows = stack_values("transformers", installed_stack().partition("@")[2], "full")
    found: Modeling = next((row.value for row in rows if row.field == "switch.modeling"), DEFAULT.modeling)
    return found
