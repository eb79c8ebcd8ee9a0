"""A real browser for the page's tests: the system's Chromium against `streamlit run app.py` on 127.0.0.1."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Error, Page

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing(what: str) -> None:
    """Skip with a reason; where CI=true the browser belongs to the job, and its absence fails it."""
    reason = f"{what} is missing: the page is not tried in a real browser"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the page on a free port with a history of its own, stopped at the end."""
    own = {"TUNEBUDGET_DATA_DIR": str(tmp_path_factory.mktemp("data")), "HF_HUB_OFFLINE": "1"}
    environment = {**os.environ, **own}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", f"--server.port={port}"]
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", server)
        yield f"http://127.0.0.1:{port}/"
    finally:
        end(server)


def end(server: subprocess.Popen[bytes]) -> None:
    """Stop the server; on a busy machine it may not be done with its visitors in time, which no test is about."""
    server.terminate()
    try:
        server.wait(timeout=20)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def becomes_a_phone(page: "Page") -> bool:
    """Whether the page, made as wide as a phone, soon needs no scrolling sideways: tables and pictures shrink later."""
    from playwright.sync_api import TimeoutError as Late

    page.set_viewport_size({"width": 390, "height": 844})
    fits = "Math.max(document.documentElement.scrollWidth, document.querySelector('[data-testid=stMain]').scrollWidth)"
    try:
        page.wait_for_function(f"{fits} <= 390", timeout=SECONDS * 1000)
    except Late:
        return False
    return True


def wait_until_settled(page: "Page") -> None:
    """No run of the page is under way, whose end could move a button from under a click."""
    from playwright.sync_api import expect

    app = page.get_by_test_id("stApp")
    expect(app).to_have_attribute("data-test-script-state", "notRunning", timeout=SECONDS * 1000)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, "the server ended"
        try:
            with urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"{url} did not answer within {SECONDS} s")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        missing("Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def window(browser: "Browser") -> "Iterator[Page]":
    """One tab for all tests: what the page keeps, it keeps in a session, which each visit begins anew.

    A tab of its own for each test compiles the page's scripts again: 4.5 s of CPU a visit instead of 2.4.
    """
    context = browser.new_context(accept_downloads=True)
    yield context.new_page()
    context.close()


@pytest.fixture
def tab(window: "Page") -> "Iterator[Page]":
    """The tab, empty and of a desktop's size."""
    window.set_default_timeout(SECONDS * 1000)
    window.set_viewport_size({"width": 1280, "height": 2400})
    window.emulate_media(color_scheme="light")
    yield window
    window.goto("about:blank")


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console complains about; a page must leave it empty."""
    return []


@pytest.fixture
def page(tab: "Page", address: str, complaints: list[str]) -> "Iterator[Page]":
    """The page at a first visit."""

    def heard(message: "ConsoleMessage") -> None:
        if message.type == "error":
            complaints.append(message.text)

    def failed(error: "Error") -> None:
        complaints.append(str(error))

    tab.on("console", heard)
    tab.on("pageerror", failed)
    tab.goto(address)
    yield tab
    tab.remove_listener("console", heard)
    tab.remove_listener("pageerror", failed)
