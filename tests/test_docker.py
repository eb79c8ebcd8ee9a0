"""The Dockerfile, read and not built (there is no docker here): its settings, and its commands run without it."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.cli.app import streamlit_command

ROOT = Path(__file__).parents[1]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, comments left out."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line and not line.startswith("#")]


def only(name: str) -> str:
    found = [rest for instruction, rest in instructions() if instruction == name]
    assert len(found) == 1
    return found[0]


def environment() -> dict[str, str]:
    pairs = (pair for name, rest in instructions() if name == "ENV" for pair in rest.split())
    return dict(pair.split("=", 1) for pair in pairs)


def health_command() -> list[str]:
    command: list[str] = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    return command


def test_it_ends_as_another_user_than_root() -> None:
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("CMD")
    assert only("USER") not in ("root", "0")
    assert f"useradd --create-home --uid 1000 {only('USER')}" in [
        rest for name, rest in instructions() if name == "RUN"
    ]
    assert only("FROM") == "python:3.11-slim"


def test_it_runs_what_make_app_runs_but_for_the_address() -> None:
    command = json.loads(only("CMD"))
    local = streamlit_command(ROOT / "app.py", int(only("EXPOSE")), browser=False)
    same = [part.replace(str(ROOT / "app.py"), "app.py").replace("127.0.0.1", "0.0.0.0") for part in local[1:]]
    assert command == ["python", *same]


def test_profiling_its_host_is_off() -> None:
    assert environment()["TUNEBUDGET_HOSTED"] == "1"


def test_the_page_s_settings_hold_there_too() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {".streamlit", "ui", "planner", "profiler", "data", "app.py", "pyproject.toml"} & set(ignored)
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["enableXsrfProtection"] is True
    assert settings["server"]["maxUploadSize"] == 1
    assert settings["browser"]["gatherUsageStats"] is False


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    """The Dockerfile's command on a port of its own, in a copy of what it copies; stopped at the end."""
    ignored = shutil.ignore_patterns(
        *(line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split())
    )
    shutil.copytree(ROOT, tmp_path / "app", ignore=ignored)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [re.sub("8501", str(port), part).replace("0.0.0.0", "127.0.0.1") for part in json.loads(only("CMD"))]
    given = {**environment(), "TUNEBUDGET_DATA_DIR": str(tmp_path / "data"), "HOME": str(tmp_path), "PATH": os.defpath}
    with subprocess.Popen(
        [sys.executable, *command[1:]], cwd=tmp_path / "app", env=given, stdout=-3, stderr=-3
    ) as server:
        yield port
        server.terminate()


def test_its_health_check_passes_where_its_command_runs_and_fails_where_not(served: int) -> None:
    check = [sys.executable, *(part.replace("8501", str(served)) for part in health_command()[1:])]
    end = time.monotonic() + 60
    while subprocess.run(check, capture_output=True, check=False).returncode and time.monotonic() < end:
        time.sleep(0.3)
    assert subprocess.run(check, capture_output=True, check=False).returncode == 0
    elsewhere = [part.replace(str(served), "9") for part in check]
    assert subprocess.run(elsewhere, capture_output=True, check=False).returncode != 0
