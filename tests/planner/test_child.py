"""The child process: its answer, its refusals, its death, its time limit; the parent gets one line each time."""

from pathlib import Path

import pytest

from planner import child
from planner.child import ChildError, Progress, run_child
from planner.errors import PlannerError

SPEAK = "import json, sys\njson.load(sys.stdin)\nsay = lambda m: print(json.dumps(m), flush=True)\n"


@pytest.fixture
def speaking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Run a script of the test's own in the place of profiler.child."""

    def use(script: str) -> None:
        package = tmp_path / "profiler"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "child.py").write_text(SPEAK + script)
        monkeypatch.setattr(child, "ROOT", tmp_path)
        monkeypatch.delenv("PYTHONPATH", raising=False)

    return use


def test_progress_is_passed_on_and_the_answer_returned(speaking) -> None:
    speaking(
        "say({'progress': {'done': 1, 'of': 2, 'what': 'x'}})\nprint('a library prints')\nsay({'answer': {'peak': 3}})"
    )
    heard: list[Progress] = []
    assert run_child({}, heard.append) == {"peak": 3}
    assert heard == [Progress(1, 2, "x")]


def test_a_refusal_names_its_field(speaking) -> None:
    speaking("say({'error': {'message': 'no such thing', 'field': 'model'}})")
    with pytest.raises(PlannerError, match="no such thing") as refused:
        run_child({})
    assert refused.value.field == "model"


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "killed .signal 9., most likely for memory"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("raise RuntimeError('broken library')", "ended with code 1: RuntimeError: broken library"),
        ("sys.exit(3)", "ended with code 3: it printed nothing"),
    ],
)
def test_a_child_that_dies_leaves_one_line(speaking, script: str, line: str) -> None:
    speaking(script)
    with pytest.raises(ChildError, match=line) as death:
        run_child({})
    assert "\n" not in death.value.message


def test_the_time_limit_ends_it(speaking) -> None:
    speaking("import time\ntime.sleep(60)")
    with pytest.raises(ChildError, match="time limit of 1 seconds"):
        run_child({}, time_limit_seconds=1)


def test_it_stops_on_request(speaking) -> None:
    speaking("import time\ntime.sleep(60)")
    with pytest.raises(ChildError, match="stopped on request"):
        run_child({}, should_stop=lambda: True)


def test_missing_packages_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "is_installed", lambda name: name != "bitsandbytes")
    with pytest.raises(ChildError, match=r"not installed: bitsandbytes.*pip install"):
        child.check_packages("trace")
