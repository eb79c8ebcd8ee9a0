"""A script in the place of the child process, so that every way a run can end is tried in a second."""

from collections.abc import Callable
from pathlib import Path

import pytest

from planner import child

HEAD = """import json, os, signal, sys, time
say = lambda message: print(json.dumps(message), flush=True)
progress = lambda what: say({'progress': {'done': 1, 'of': 9, 'what': what, 'peak_bytes': 5}})
task = json.load(sys.stdin)
if task["level"] == "devices":
    host = {"device": "cpu", "platform": "cpu", "name": "CPU", "total_bytes": 2**34, "free_bytes": 2**33}
    say({"answer": {"devices": [host | {"compute_capability": None, "driver": None, "libraries": {}}]}})
    sys.exit()
"""


def use_script(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[[str], None]:
    """A function that puts a script in the place of profiler.child."""

    def use(script: str) -> None:
        package = folder / "profiler"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / "child.py").write_text(HEAD + script)
        monkeypatch.setattr(child, "ROOT", folder)
        monkeypatch.delenv("PYTHONPATH", raising=False)

    return use
