"""``app``: the web page on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import click

from planner.cli.options import json_option
from planner.cli.output import note, print_json
from planner.errors import PlannerError
from planner.installed import is_installed

_ROOT = Path(__file__).resolve().parents[2]
_ADDRESS = "127.0.0.1"


@click.command("app")
@click.option("--port", type=click.IntRange(1, 65535), default=8501, show_default=True, help="Port of the page.")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser. [default: yes]")
@json_option
def command(port: int, browser: bool, as_json: bool) -> int:
    """Open the web page; it listens on 127.0.0.1 only. Ctrl-C ends it."""
    page = _ROOT / "app.py"
    if not page.is_file():
        raise PlannerError(f"{page} is missing: the page runs from a checkout; clone the project and run it there")
    if not is_installed("streamlit"):
        raise PlannerError("streamlit is not installed: the page needs it; run `pip install -e .` in the checkout")
    url = f"http://{_ADDRESS}:{port}"
    if as_json:
        print_json({"url": url})
    else:
        note(f"the page is at {url}; Ctrl-C ends it")
    return _serve(streamlit_command(page, port, browser))


def _serve(command: list[str]) -> int:
    """Become the server, so that what ends this process ends it; Windows has no such thing and waits for a child."""
    sys.stdout.flush()
    os.chdir(_ROOT)
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.run(command, check=False).returncode


def streamlit_command(page: Path, port: int, browser: bool) -> list[str]:
    """The command line that serves the page."""
    settings = {"server.address": _ADDRESS, "server.port": port, "server.headless": str(not browser).lower()}
    flags = [f"--{name}={value}" for name, value in settings.items()]
    return [sys.executable, "-m", "streamlit", "run", str(page), *flags]
