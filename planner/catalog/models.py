"""Models: a name, a path or a config becomes a config and, if the catalogue knows it, its row."""

from functools import cache
from typing import Any

from planner.catalog.names import closest, mirrored_name, model_spelling, shown
from planner.catalog.rows.model import ModelRow
from planner.catalog.tables import read_config_file, read_table
from planner.errors import UnknownModelError

_TABLE = "models/index.csv"


def find_model(name: str) -> ModelRow:
    """The model of this id or alias, whatever its case and separators.

    Raises UnknownModelError with one line that names the closest models.
    """
    row = _lookup(name)
    if row is None:
        raise UnknownModelError(_unknown(name), "model")
    return row


def load_config(row: ModelRow) -> dict[str, Any]:
    """The model's config, with the fields that were collected; absent fields take transformers' defaults."""
    return read_config_file(row.config_file)


def resolve_config(model: str | dict[str, Any]) -> tuple[str, dict[str, Any], ModelRow | None]:
    """A request's model as (name shown, config, row of the catalogue or None).

    A config stands for itself; a name is looked up in the catalogue first, then taken as a path, then asked of the Hub.

    Raises UnknownModelError with one line where none of them knows it.
    """
    if isinstance(model, dict):
        return _config_name(model), model, None
    row = _lookup(model)
    if row is not None:
        return row.id, load_config(row), row
    from planner.catalog.config_file import is_path, read_config

    if is_path(model):
        return model, read_config(model), None
    return model, _of_hub(model), None


def _of_hub(name: str) -> dict[str, Any]:
    """The config of a model that only the Hub may know."""
    from planner.hub import NotOnHubError, find_on_hub, is_hub_id

    if not is_hub_id(name):
        raise UnknownModelError(_unknown(name), "model")
    try:
        return find_on_hub(name).config
    except NotOnHubError as error:
        raise UnknownModelError(_unknown(name, f"; {error}"), "model") from None


def list_models() -> list[ModelRow]:
    """Every model of the catalogue, by id."""
    return [_row(number) for number in range(len(read_table(_TABLE).rows))]


def _lookup(name: str) -> ModelRow | None:
    spellings = _spellings()
    number = spellings.get(model_spelling(name))
    original = mirrored_name(name) if number is None else None
    if original is not None:
        number = spellings.get(model_spelling(original))
    return None if number is None else _row(number)


@cache
def _row(number: int) -> ModelRow:
    return read_table(_TABLE).validated(number, ModelRow)


@cache
def _spellings() -> dict[str, int]:
    """Every spelling of every name, with and without the organization, to the number of its row."""
    table = read_table(_TABLE)
    spellings: dict[str, int] = {}
    for number, (model_id, aliases) in enumerate(zip(table.column("id"), table.column("aliases"), strict=True)):
        for name in (model_id, *aliases.split("|")) if aliases else (model_id,):
            spellings.setdefault(model_spelling(name), number)
            spellings.setdefault(model_spelling(name.rpartition("/")[2]), number)
    return spellings


def _config_name(config: dict[str, Any]) -> str:
    for field in ("_name_or_path", "model_type"):
        if isinstance(config.get(field), str) and config[field]:
            return str(config[field])
    return "config"


def _unknown(name: str, besides: str = "") -> str:
    table = read_table(_TABLE)
    ids, released = table.column("id"), table.column("released")
    newest_first = sorted(_spellings().items(), key=lambda item: released[item[1]], reverse=True)
    names = closest(model_spelling(name), {spelling: ids[number] for spelling, number in newest_first})
    near = f"; closest: {', '.join(names)}" if names else ""
    return (
        f"model {shown(name)} is neither in the catalogue nor a file{besides}{near}; "
        "give an id of the catalogue, a path to a config.json, or the config itself"
    )
