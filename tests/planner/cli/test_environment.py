"""The commands that look at the machine, and how output adapts to where it goes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from planner.cli.app import streamlit_command

Run = Callable[..., Result]

ROOT = Path(__file__).parents[3]
FIT = [sys.executable, "-m", "planner", "fit", "gpt2", "--method", "lora", "--gpu", "t4"]


def fake_nvidia_smi(folder: Path, output: str, code: int = 0) -> None:
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\ncat <<'E'\n{output}\nE\nexit {code}\n")
    path.chmod(0o755)


def test_doctor_finds_cards_through_nvidia_smi(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi(tmp_path, "NVIDIA GeForce RTX 4090, 24564, 550.54\nNVIDIA Abacus, [N/A], 1")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    first, second = json.loads(run("doctor", "--json").stdout)["gpus"]
    assert first == {
        "name": "NVIDIA GeForce RTX 4090",
        "total_bytes": 24564 * 1024**2,
        "driver": "550.54",
        "catalogue_key": "rtx-4090",
    }
    assert (second["catalogue_key"], second["total_bytes"]) == (None, None)
    assert "not in the catalogue" in run("doctor").stdout


def test_doctor_without_a_card(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_nvidia_smi(tmp_path, "NVIDIA-SMI has failed", code=9)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = json.loads(run("doctor", "--json").stdout)
    assert found["gpus"] == []
    assert found["packages"]["pydantic"]
    assert set(found["data"]) == {"models", "gpus", "prices"}
    assert found["data"]["gpus"]["newest"] >= "2026-11-21"


def test_app_serves_on_this_machine_only() -> None:
    command = streamlit_command(Path("/x/app.py"), 8600, browser=False)
    assert command[1:5] == ["-m", "streamlit", "run", "/x/app.py"]
    assert "--server.address=127.0.0.1" in command
    assert "--server.port=8600" in command
    assert "--server.headless=true" in command


def test_app_says_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.cli.app._ROOT", Path("/nowhere"))
    result = run("app")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: /nowhere/app.py is missing: the page runs from a checkout; clone the project and run it there\n"
    )


def test_app_without_streamlit(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    monkeypatch.setattr("planner.cli.app._ROOT", tmp_path)
    monkeypatch.setattr("planner.cli.app.is_installed", lambda name: False)
    result = run("app")
    assert result.exit_code == 2
    assert "streamlit is not installed" in result.stderr


def test_app_runs_streamlit_on_the_page_and_returns_its_code(tmp_path: Path) -> None:
    (tmp_path / "streamlit.py").write_text("import os, sys; print(os.getcwd(), *sys.argv[1:3]); sys.exit(3)")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "planner", "app", "--json", "--port", "8123"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    url, served = result.stdout.rstrip().rsplit("\n", 1)
    assert json.loads(url) == {"url": "http://127.0.0.1:8123"}
    assert served == f"{ROOT} run {ROOT / 'app.py'}"
    assert result.returncode == 3


def test_text_is_plain_when_piped() -> None:
    result = subprocess.run(FIT, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.isascii()
    assert "\x1b" not in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_on_a_terminal_unless_it_is_not_wanted(no_color: str, coloured: bool) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm-256color"}
    with subprocess.Popen(FIT, cwd=ROOT, stdout=theirs, env=environment) as process:
        os.close(theirs)
        text = b""
        while part := read(ours):
            text += part
        assert process.wait(30) == 0
    os.close(ours)
    assert b"on one Tesla T4: fits." in text
    assert (b"\x1b[" in text) == coloured


def read(terminal: int) -> bytes:
    """What has arrived; nothing once the other side has closed."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""
