"""The request's flags: one for each field of PlanRequest, spelled as the field with dashes.

They are read off the schema, so that a flag's values and default stand in one place. Values are passed on as text:
the schema validates them, and its refusals name the field.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from planner.schema import PlanRequest

F = TypeVar("F", bound=Callable[..., Any])

#: Flags that are not the field with dashes, and short forms.
_FLAGS = {
    "lora.r": ("--lora-r",),
    "pricing.kind": ("--pricing",),
    "per_device_train_batch_size": ("--per-device-train-batch-size", "--batch-size"),
}

_METAVARS: dict[object, str] = {int: "INTEGER", float: "NUMBER"}
_MODULE_NAMES = re.compile(r"[\w.,\- ]+")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON: integers are bytes.")


def request_options(*leave_out: str) -> Callable[[F], F]:
    """Flags for every field of the request but the model and those left out."""
    decorators = [_option(path, info) for path, info in _fields(PlanRequest) if path not in ("model", *leave_out)]

    def decorate(command: F) -> F:
        return reduce(lambda decorated, option: option(decorated), reversed(decorators), command)

    return decorate


def request_fields(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the flags that were given, nested as the request has them."""
    fields: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None or value == ():
            continue
        *parents, field = name.split("__")
        target = reduce(lambda inner, parent: inner.setdefault(parent, {}), parents, fields)
        target[field] = module_names(value) if isinstance(value, tuple) else value
    return fields


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        inner = _submodel(info.annotation)
        if inner is None:
            yield prefix + name, info
        else:
            yield from _fields(inner, f"{prefix}{name}.")


def _submodel(annotation: Any) -> type[BaseModel] | None:
    for choice in _choices(annotation):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return choice
    return None


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, None left out; any other type is its own only member. Annotated types are bare."""
    if get_origin(annotation) is Annotated:
        return _choices(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, UnionType):
        return (annotation,)
    return tuple(bare for choice in get_args(annotation) if choice is not type(None) for bare in _choices(choice))


def _option(path: str, info: FieldInfo) -> Callable[[F], F]:
    field = path.rpartition(".")[2]
    flags = _FLAGS.get(path, ("--" + field.replace("_", "-"),))
    choices = _choices(info.annotation)
    text = _help(info)
    name = path.replace(".", "__")
    if choices == (bool,):
        return click.option(name, f"{flags[0]}/--no-{flags[0][2:]}", default=None, help=text)
    many = any(get_origin(choice) is tuple for choice in choices)
    return click.option(name, *flags, type=str, multiple=many, metavar=_metavar(choices, many), help=text)


def _metavar(choices: tuple[Any, ...], many: bool) -> str:
    if get_origin(choices[0]) is Literal:
        return f"[{'|'.join(map(str, get_args(choices[0])))}]"
    return "NAME[,NAME...]" if many else _METAVARS.get(choices[0], "TEXT")


def _help(info: FieldInfo) -> str:
    default = info.get_default()
    shown = "" if info.is_required() or default in (None, ()) else f"[default: {str(default).lower()}]"
    if isinstance(default, str):
        shown = f"[default: {default}]"
    return " ".join(filter(None, (info.description, shown)))


def module_names(values: tuple[str, ...]) -> str | list[str]:
    """Names from a repeated flag or comma lists; "all-linear" and a regular expression stand alone."""
    if len(values) == 1 and (values[0] == "all-linear" or not _MODULE_NAMES.fullmatch(values[0])):
        return values[0]
    return listed(values)


def listed(values: tuple[str, ...]) -> list[str]:
    """The values of a flag that may be repeated or take a comma list.

    A comma before `name=` stays: it belongs to a card that is spelled out (own:usable_gib=40,mem_bandwidth_gb_s=900).
    """
    return [name.strip() for value in values for name in re.split(r",(?!\s*\w+=)", value) if name.strip()]
