"""``explain [TOPIC]``: the derivation of every number, step by step, for the reader's own model."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from planner.cli.options import json_option, request_fields, request_options
from planner.cli.output import print_json, print_markdown, print_report
from planner.errors import RequestError
from planner.learn.markdown import to_markdown
from planner.learn.topics import TOPICS, TOURS
from planner.learn.walkthrough import Walkthrough, tour_of, walk_through
from planner.report import Block, Column, Table, Text
from planner.schema import parse_request

#: The model and method of a reader who names none.
MODEL, METHOD = "meta-llama/Llama-3.1-8B", "lora"


@click.command("explain")
@click.argument("topic", required=False)
@click.option(
    "--model", metavar="MODEL", help=f"A name of the catalogue, or a path to a config.json. [default: {MODEL}]"
)
@click.option("-o", "--output", metavar="FILE.md", help="Write Markdown with LaTeX formulas to a file.")
@request_options()
@json_option
def command(topic: str | None, model: str | None, output: str | None, as_json: bool, **flags: Any) -> None:
    """Derive every number, step by step, for a model and settings of your own.

    TOPIC is one of the topics, or full, lora or qlora for a tour of several; without it, they are listed.
    """
    if topic is None:
        _list(as_json)
        return
    fields = {"model": model or MODEL} | request_fields(flags)
    if topic in TOURS:
        fields.setdefault("method", topic)
    request = parse_request({"method": METHOD} | fields)
    found = [walk_through(name, request) for name in tour_of(topic)]
    if as_json:
        print_json([_as_json(walk) for walk in found])
    elif output is not None:
        _write(output, found)
    else:
        print_markdown(_document(found, "text"))


def _document(found: list[Walkthrough], formulas: Any) -> str:
    return "\n".join(to_markdown(walk.blocks, formulas) for walk in found)


def _write(path: str, found: list[Walkthrough]) -> None:
    try:
        Path(path).write_text(_document(found, "latex"), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"-o {path!r}: {error.strerror}: give a file that can be written", "output") from None
    print(f"written: {path}", file=sys.stderr)


def _as_json(walk: Walkthrough) -> dict[str, Any]:
    return {
        "topic": walk.topic,
        "title": walk.title,
        "request": walk.request.model_dump(mode="json", exclude_unset=True),
        "blocks": [{"kind": type(block).__name__.lower(), **asdict(block)} for block in walk.blocks],
        "values": {name: asdict(fact) | {"shown": fact.shown()} for name, fact in walk.facts.items()},
    }


def _list(as_json: bool) -> None:
    if as_json:
        topics = {name: {"title": t.title, "question": t.question} for name, t in TOPICS.items()}
        print_json({"topics": topics, "tours": TOURS})
        return
    rows = tuple((name, topic.question) for name, topic in TOPICS.items())
    tours = tuple((name, ", ".join(topics)) for name, topics in TOURS.items())
    blocks: list[Block] = [
        Table("Topics", (Column("topic"), Column("question")), rows),
        Table("Tours", (Column("tour"), Column("topics")), tours),
        Text("`tunebudget explain TOPIC --model MODEL` puts your model in."),
    ]
    print_report(blocks)
