"""``drill``: questions from a seed, marked with their units; the derivation after each, or after a mock interview."""

import sys
import time
from dataclasses import asdict
from random import SystemRandom

import click

from planner.cli.options import json_option, listed
from planner.cli.output import print_json
from planner.drills.draw import check_topics, drawn
from planner.drills.drill import TOPICS, Drill
from planner.drills.marking import Mark, mark, right_answer
from planner.drills.score import Score
from planner.errors import RequestError

#: A mock interview.
MOCK_COUNT, MOCK_MINUTES = 10, 20
#: Seeds that are drawn where none is given: short enough to type again.
_SEEDS = 100_000


@click.command("drill")
@click.option("--seed", type=click.IntRange(min=0), help="The same seed asks the same questions. [default: a new one]")
@click.option("--topic", "topics", multiple=True, metavar="NAME[,NAME...]", help=f"Of {', '.join(TOPICS)}.")
@click.option("--count", type=click.IntRange(1, 1000), help=f"Questions. [default: {MOCK_COUNT}]")
@click.option("--mock", is_flag=True, help=f"Mock interview: {MOCK_COUNT} questions in {MOCK_MINUTES} minutes.")
@json_option
def command(seed: int | None, topics: tuple[str, ...], count: int | None, mock: bool, as_json: bool) -> None:
    """Questions on memory, time and cost, asked one after the other; answers are read with their units.

    An empty answer skips a question; the end of the input ends the session. With --json the questions are printed with
    their answers, and nothing is asked.
    """
    chosen, number = check_topics(listed(topics)), count or MOCK_COUNT
    seed = SystemRandom().randrange(_SEEDS) if seed is None else seed
    found = drawn(seed, number, chosen)
    if as_json:
        print_json({"seed": seed, "drills": [asdict(drill) | {"shown": right_answer(drill)} for drill in found]})
        return
    again = "".join(f" --topic {topic}" for topic in listed(topics)) + (" --mock" if mock else "")
    print(f"Seed {seed}: `tunebudget drill --seed {seed}{again}` asks the same again.")
    _session(found, mock)


def _session(found: list[Drill], mock: bool) -> None:
    score, later, start = Score(), list[str](), time.monotonic()
    if mock:
        print(f"{len(found)} questions, {MOCK_MINUTES} minutes. The derivations come at the end.")
    for number, drill in enumerate(found, 1):
        minutes = (time.monotonic() - start) / 60
        if mock and minutes >= MOCK_MINUTES:
            print("\nThe time is over.")
            break
        print(f"\n{number}/{len(found)}{f', {minutes:.0f} min' if mock else ''} [{drill.topic}] {drill.text}")
        found_mark = _asked(drill)
        if found_mark is None:
            break
        score.add(drill, found_mark)
        explained = "\n".join(_explained(drill))
        print(found_mark.text if not mock else "Noted.")
        later.append(f"\n{number}. {drill.text}\n{found_mark.text}\n{explained}") if mock else print(explained)
    print("\n".join([*later, *_result(score, (time.monotonic() - start) / 60)]))


def _asked(drill: Drill) -> Mark | None:
    """The mark of the first answer that can be read; None at the end of the input."""
    if drill.choices:
        print(f"({' / '.join(drill.choices)})")
    while True:
        print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            print()
            return None
        if not line.strip():
            return Mark("wrong", 0, "Skipped.")
        try:
            return mark(drill, line)
        except RequestError as error:
            print(error.message)


def _explained(drill: Drill) -> list[str]:
    """The planner's answer and how it comes about."""
    heading = "A good answer" if drill.kind == "open" else "Answer (estimated)"
    points = "Points to hit" if drill.kind == "open" else "From the ledger"
    return [f"{heading}: {right_answer(drill)}", f"{points}:", *(f"  {line}" for line in drill.derivation)]


def _result(score: Score, minutes: float) -> list[str]:
    if not score.asked:
        return ["No question was answered."]
    rows = [f"  {topic}: {points:.3g} of {asked}" for topic, (points, asked) in score.by_topic.items()]
    return [f"\nScore: {score.text()}, in {minutes:.0f} min.", *rows]
