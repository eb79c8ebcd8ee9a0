"""One topic for one reader: its text, with the facts of the reader's own model put in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from planner.catalog import find_gpu
from planner.catalog.references import find_reference
from planner.errors import RequestError
from planner.learn.blocks import Block, Grid, Heading, Prose
from planner.learn.cases import ONE_CARD, Case
from planner.learn.facts import Fact, Facts
from planner.learn.template import render
from planner.learn.topics import TOPICS, TOURS, Topic
from planner.learn.topics.common import METHOD_NAMES
from planner.schema import PlanRequest

#: Taken where a topic needs a card and the reader names none.
CARD = "h100-sxm"
_TEXTS = Path(__file__).parent / "texts"
#: What a topic declares: its facts, and the tables that its text asks for.
Prepared = tuple[Facts, Mapping[str, Grid]]


@dataclass(frozen=True, slots=True)
class Walkthrough:
    """A topic as one reader sees it, and every value that it may show."""

    topic: str
    title: str
    request: PlanRequest
    blocks: tuple[Block, ...]
    facts: dict[str, Fact]


def walk_through(topic: str, request: PlanRequest) -> Walkthrough:
    """The topic for this request.

    Raises RequestError for an unknown topic, PlannerError where the request cannot be planned in the topic's way.
    """
    about = find_topic(topic)
    changes = _changes(about, request)
    case = Case(request).changed(**changes) if changes else Case(request)
    facts, tables = _declared(topic)(case)
    facts.take("request", case.request, "text", method="method")
    facts.put("model", case.plan.model.rpartition("/")[2], "text", "plan: model")
    blocks = [*render(text_of(topic), facts, tables), *_sources(about)]
    if changes:
        facts.put("default_card", find_gpu(CARD).name, "text", "catalogue: name")
        blocks.insert(1, Prose(_changed_text(request, changes)))
    return Walkthrough(topic, about.title, case.request, tuple(blocks), dict(facts))


def find_topic(name: str) -> Topic:
    """The topic of this name.

    Raises RequestError with the names there are.
    """
    if name not in TOPICS:
        known = f"topics: {', '.join(TOPICS)}; tours: {', '.join(TOURS)}"
        raise RequestError(f"topic {name!r} is not known; {known}", "topic")
    return TOPICS[name]


def tour_of(name: str) -> tuple[str, ...]:
    """The topics of a tour; of a topic, itself.

    Raises RequestError with the names there are.
    """
    if name in TOURS:
        return TOURS[name]
    find_topic(name)
    return (name,)


@cache
def text_of(topic: str) -> str:
    """The topic's text with its slots."""
    return (_TEXTS / f"{topic}.md").read_text(encoding="utf-8")


def _declared(topic: str) -> Callable[[Case], Prepared]:
    declare: Callable[[Case], Prepared] = import_module(f"planner.learn.topics.{topic.replace('-', '_')}").declare
    return declare


def _changes(topic: Topic, request: PlanRequest) -> dict[str, Any]:
    """What is changed of the request: the method to the topic's, and to one card where the topic is about one."""
    changes: dict[str, Any] = {}
    if topic.methods and request.method not in topic.methods:
        changes["method"] = topic.methods[0]
    if topic.one_card and request.num_gpus > 1:
        changes |= ONE_CARD
    if topic.needs_card and request.gpu is None:
        changes["gpu"] = CARD
    return changes


def _changed_text(request: PlanRequest, changes: Mapping[str, Any]) -> str:
    said = []
    if "method" in changes:
        asked, taken = METHOD_NAMES[request.method], METHOD_NAMES[changes["method"]]
        said.append(f"This is about {taken}; your question was about {asked}.")
    if "num_gpus" in changes:
        said.append("Your question shares the model among several cards; here one card holds all of it.")
    if "gpu" in changes:
        said.append(f"Your question names no card; here it is one {find_gpu(CARD).name}.")
    return f"*{' '.join(said)}*"


def _sources(topic: Topic) -> list[Block]:
    """Each work once, with all the places in it that the topic rests on."""
    rows = [find_reference(key) for key in topic.sources]
    places: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        places.setdefault((row.work, row.url), []).extend([row.where] if row.where else [])
    lines = [f"- {', '.join([work, *dict.fromkeys(found)])}: {url}" for (work, url), found in places.items()]
    return [Heading("Sources", 2), Prose("\n".join(lines))]
