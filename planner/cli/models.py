"""``models [QUERY]``: the models of the catalogue, or one in detail."""

from typing import Any

import click

from planner.architecture.blocks import Architecture
from planner.architecture.read import read_architecture
from planner.catalog import ModelRow, list_models, resolve_config
from planner.catalog.names import model_spelling
from planner.cli.options import json_option
from planner.cli.output import print_json, print_report
from planner.errors import UnknownModelError
from planner.methods.targets import named_linears
from planner.report import Block, Column, Table, Text
from planner.units import format_count

_COLUMNS = (
    Column("model"),
    Column("parameters", "number"),
    Column("model_type"),
    Column("released"),
    Column("license"),
)


@click.command("models")
@click.argument("query", required=False)
@json_option
def command(query: str | None, as_json: bool) -> None:
    """The catalogue's models: all, those whose name contains QUERY, or the one QUERY names in detail.

    QUERY may also be a path to a config.json.
    """
    found = list_models() if query is None else _matching(query)
    if found:
        _show_list(found, as_json)
    else:
        _show_one(str(query), as_json)


def _matching(query: str) -> list[ModelRow]:
    """The models that contain the query; none where it is the name of one model, or of none."""
    try:
        resolve_config(query)
    except UnknownModelError:
        spelled = model_spelling(query)
        return [row for row in list_models() if spelled and _contains(row, spelled)]
    return []


def _contains(row: ModelRow, spelled: str) -> bool:
    return any(spelled in model_spelling(name) for name in (row.id, row.family, row.model_type, *row.aliases))


def _show_list(rows: list[ModelRow], as_json: bool) -> None:
    if as_json:
        print_json([row.model_dump(mode="json") for row in rows])
        return
    cells = tuple((row.id, format_count(row.params), row.model_type, row.released, row.license) for row in rows)
    print_report((Table("", _COLUMNS, cells),))


def _show_one(query: str, as_json: bool) -> None:
    name, config, row = resolve_config(query)
    architecture = read_architecture(config, name)
    if as_json:
        print_json({"model": name, **_facts(architecture), "catalogue": row and row.model_dump(mode="json")})
        return
    print_report(_blocks(name, architecture, row))


def _facts(architecture: Architecture) -> dict[str, Any]:
    return {
        "model_type": architecture.model_type,
        "total_params": architecture.num_params,
        "num_layers": architecture.num_layers,
        "hidden_size": architecture.hidden_size,
        "vocab_size": architecture.vocab_size,
        "tied_embeddings": architecture.tied,
        "linears": {n: [x.out_features, x.in_features] for n, x in named_linears(architecture)},
    }


def _blocks(name: str, architecture: Architecture, row: ModelRow | None) -> list[Block]:
    tied = ", head tied to the embedding" if architecture.tied else ""
    title = (
        f"{name}: {architecture.num_params:,} parameters, {architecture.model_type}, {architecture.num_layers} "
        f"layers, hidden size {architecture.hidden_size:,}, vocabulary {architecture.vocab_size:,}{tied}."
    )
    linears = tuple((n, f"{x.out_features:,} x {x.in_features:,}") for n, x in named_linears(architecture))
    table = Table("Linear layers (target_modules)", (Column("name"), Column("out x in", "number")), linears)
    return [Text(title), table, *_origin(row)]


def _origin(row: ModelRow | None) -> list[Text]:
    if row is None:
        return []
    lines = [
        f"License: {row.license} (recalled; the model card decides); released {row.released}; {row.url}",
        f"Config: {row.source}; parameter count: {row.params_check}, {row.params_source or 'built from the config'}",
        f"Other names: {', '.join(row.aliases)}" if row.aliases else "",
        row.notes,
    ]
    return [Text(line, "note") for line in lines if line]
