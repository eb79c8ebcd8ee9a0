"""The command line as a person calls it, in this process."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from planner.cli.root import tunebudget

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Run `tunebudget ARGS...` with standard input."""

    def call(*args: str, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(tunebudget, list(args), input=stdin)

    return call
