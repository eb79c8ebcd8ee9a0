"""What a drill is: a question, the planner's answer, and how it is derived."""

from dataclasses import dataclass, field
from typing import Any, Literal

Quantity = Literal["memory", "parameters", "share", "time", "money", "bytes a parameter"]
Topic = Literal["weights", "gradients", "optimizer", "lora", "quantization", "fit", "cache", "logits", "cost", "open"]
TOPICS: tuple[Topic, ...] = (
    "weights",
    "gradients",
    "optimizer",
    "lora",
    "quantization",
    "fit",
    "cache",
    "logits",
    "cost",
    "open",
)


@dataclass(frozen=True, slots=True)
class Point:
    """One thing that a good answer to an open question says: any of these words count for it."""

    text: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drill:
    """One question.

    value: the planner's answer in bytes, parameters, a share of 1, hours or USD; tolerance: the part of it by which an
    answer may be off. choices: of a question that asks for one of several; answer: the right one, or the model answer
    of an open question, whose points are looked for. request: what the planner was asked, to be asked again.
    """

    topic: Topic
    kind: Literal["number", "choice", "open"]
    text: str
    derivation: tuple[str, ...]
    request: dict[str, Any]
    quantity: Quantity | None = None
    value: float | None = None
    tolerance: float = 0.03
    choices: tuple[str, ...] = ()
    answer: str = ""
    points: tuple[Point, ...] = field(default=())
