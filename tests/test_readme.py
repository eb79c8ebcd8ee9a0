"""The README's answers are true: each `$ command` in a console block prints what stands below it.

After a change of the numbers: python tests/test_readme.py writes the new answers into the README.
"""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.root import COMMANDS, tunebudget

README = Path(__file__).parents[1] / "README.md"
CONSOLE = re.compile(r"(?<=```console\n)\$ tunebudget (?P<command>.*)\n(?P<answer>(?:(?!```).*\n)*)")


def answer(command: str) -> str:
    return CliRunner().invoke(tunebudget, shlex.split(command)).stdout


def blocks() -> list[tuple[str, str]]:
    return [(found["command"], found["answer"]) for found in CONSOLE.finditer(README.read_text())]


def test_an_answer_is_shown() -> None:
    assert blocks()


@pytest.mark.parametrize(("command", "shown"), blocks())
def test_the_answer_is_what_the_command_prints(command: str, shown: str) -> None:
    assert shown == answer(command), "python tests/test_readme.py writes the new answer"


def test_every_command_is_described() -> None:
    text = README.read_text()
    assert [name for name in COMMANDS if not re.search(rf"`{name}\b", text)] == []


def rewrite() -> None:
    """Put the present answers into the README."""
    text = README.read_text()
    README.write_text(CONSOLE.sub(lambda b: f"$ tunebudget {b['command']}\n{answer(b['command'])}", text))


if __name__ == "__main__":
    rewrite()
