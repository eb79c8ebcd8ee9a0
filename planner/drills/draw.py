"""Drills from a seed: the same seed draws the same questions from the same catalogue."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from random import Random

from planner.drills import adapter_questions as adapters
from planner.drills import card_questions as cards
from planner.drills import memory_questions as memory
from planner.drills import open_questions as opened
from planner.drills.drill import TOPICS, Drill, Topic
from planner.errors import RequestError

Maker = Callable[[Random], Drill]

MAKERS: dict[Topic, tuple[Maker, ...]] = {
    "weights": (memory.weights,),
    "gradients": (memory.gradients,),
    "optimizer": (memory.optimizer, memory.bytes_a_parameter),
    "lora": (adapters.trained, adapters.share, adapters.file_size),
    "quantization": (adapters.nf4, adapters.kept),
    "fit": (cards.fits,),
    "cache": (memory.cache,),
    "logits": (memory.logits,),
    "cost": (cards.hours, cards.cost),
    "open": (
        opened.what_lora_saves,
        opened.what_qlora_adds,
        opened.checkpointing,
        opened.merge_or_serve,
        opened.which_peak,
    ),
}


def check_topics(names: Sequence[str]) -> tuple[Topic, ...]:
    """The topics of these names; all for none. Raises RequestError for a name that is no topic."""
    known = {topic: topic for topic in TOPICS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RequestError(f"topic: {unknown[0]!r} is no topic; known: {', '.join(TOPICS)}", "topic")
    return tuple(known[name] for name in names) or TOPICS  # type: ignore[index]


def drills(seed: int, topics: Sequence[Topic] = TOPICS) -> Iterator[Drill]:
    """Questions without end, made as they are asked for: each topic once in a round, in an order of the seed."""
    order = Random(f"{seed} order")
    for number in count():
        rounds = list(topics)
        order.shuffle(rounds)
        for place, topic in enumerate(rounds):
            rng = Random(f"{seed} {number} {place} {topic}")
            yield rng.choice(MAKERS[topic])(rng)


def drawn(seed: int, number: int, topics: Sequence[Topic] = TOPICS) -> list[Drill]:
    """The first questions of a seed."""
    return list(islice(drills(seed, topics), number))
