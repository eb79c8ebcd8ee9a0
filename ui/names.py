"""Names of models and cards that a visitor gives, refused in a line that fits the page where nobody knows them."""

from typing import Any

from planner.catalog import find_gpu, find_model
from planner.catalog.config_file import is_path
from planner.catalog.names import shown
from planner.errors import UnknownGpuError, UnknownModelError
from planner.hub import is_hub_id

#: How names of models begin that a visitor adds; their config is the value `own_model` beside the inputs.
OWN_PREFIX = "own/"


def model_of(name: str, own_config: object) -> str | dict[str, Any]:
    """The request's model: a name, or the config of a model that the visitor added.

    Raises PlannerError for an own model of another visit, and for a name that nobody knows.
    """
    if not name.startswith(OWN_PREFIX):
        _check_model(name)
        return name
    if isinstance(own_config, dict) and own_config.get("_name_or_path") == name:
        return own_config
    raise UnknownModelError(
        f"model {shown(name)} was added in another visit, and a link does not hold its config; "
        "add its config.json on the Catalogue page",
        "model",
    )


def _check_model(name: str) -> None:
    """The catalogue answers here, and the Hub for an id of its form; no files: the page may stand on another machine.

    Raises PlannerError for any other name.
    """
    try:
        find_model(name)
    except UnknownModelError as error:
        reason = error.message.partition("; give ")[0]
        if is_path(name):
            reason = f"model {shown(name)} is a path, and the page opens no files, as the command line does"
        elif is_hub_id(name):
            return
        raise UnknownModelError(
            f"{reason}; choose or type a model of the catalogue, or an id of the Hub", "model"
        ) from None


def check_card(name: str) -> None:
    """Refuse a card that is not known in a line that fits the page: the command line's holds every name there is.

    Raises PlannerError where the catalogue lacks it and it is not spelled out.
    """
    try:
        find_gpu(name)
    except UnknownGpuError as error:
        reason = error.message.partition("; known: ")[0]
        raise UnknownGpuError(f"{reason}; choose or type a card of the catalogue", "gpu") from None
