"""How fast the page answers in headless Chromium: a cold start, a warm visit, a changed input; and the server's share.

python -m benchmarks.app
"""

import logging
import time
from pathlib import Path
from statistics import median, quantiles

from playwright.sync_api import Browser, Page, sync_playwright
from streamlit.testing.v1 import AppTest

from benchmarks.served import ROOT, Served, load, served, wait_until_up

_CHROMIUM = next(filter(Path.exists, map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-browser"))), None)
_FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
#: The answer that stands on the page, and when, once it is another than the one before; looked for at every frame.
_ANSWER = """before => {
    const text = document.querySelector('[data-testid=stMain]')?.textContent || '';
    const now = (text.match(/an estimated [0-9.,]+ GiB/) || [''])[0];
    return now && now !== before && [now, (performance.timeOrigin + performance.now()) / 1000];
}"""
_WAIT_MS = 60_000
#: How long an answer is looked at before the next change: until its pictures are drawn, on a quiet machine.
_LOOKS_MS = 400
NUM_VISITS = 10
NUM_CHANGES = 40

#: The aims, in seconds.
COLD, WARM, CHANGED, CHANGED_P95, RERUN = 4.0, 1.5, 0.3, 0.6, 0.08


def main() -> None:
    """Print every figure with its aim."""
    print(load())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        _visit(browser, "about:blank").close()
        with served() as server:
            cold, page = _cold(browser, server)
            page.close()
            _say("cold start to a readable answer", [cold], COLD)
            _say("warm visit", [_warm(browser, server) for _ in range(NUM_VISITS)], WARM)
            times = _changes(browser, server)
            _say("changed input to changed answer", times, CHANGED)
            print(f"  its 95th percentile: {quantiles(times, n=20)[-1]:.3f} s (aim {CHANGED_P95} s)")
        browser.close()
    _say("rerun of Fit on the server (AppTest, CPU time)", _reruns(), RERUN)
    print(load())


def _say(what: str, seconds: list[float], aim: float) -> None:
    print(f"{what}: {median(seconds):.3f} s (median of {len(seconds)}, worst {max(seconds):.3f}; aim {aim} s)")


def _visit(browser: Browser, address: str) -> Page:
    """A page of a new profile: nothing is cached."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(address)
    return page


def _answered(page: Page, but: str = "") -> tuple[str, float]:
    """The answer that stands on the page, when it is another than the one before, and the time of its frame.

    The time is the page's own: asked for afterwards, it would be that of the pictures, which are drawn next.
    """
    answer, seconds = page.wait_for_function(_ANSWER, arg=but).json_value()
    return str(answer), float(seconds)


def _cold(browser: Browser, server: Served) -> tuple[float, Page]:
    started = time.time() - (time.perf_counter() - server.started)
    wait_until_up(server)
    page = _visit(browser, server.address)
    return _answered(page)[1] - started, page


def _warm(browser: Browser, server: Served) -> float:
    start = time.time()
    page = _visit(browser, server.address)
    _, end = _answered(page)
    page.context.close()
    return end - start


def _changes(browser: Browser, server: Served) -> list[float]:
    """A length typed and entered, until the sentence of the answer has another figure."""
    page = _visit(browser, server.address)
    now, _ = _answered(page)
    page.get_by_role("button", name="Answer as JSON").wait_for(timeout=_WAIT_MS)
    length = page.get_by_role("spinbutton", name="Length in tokens")
    seconds = []
    for number in range(NUM_CHANGES):
        length.fill(str(700 + 50 * number))
        start = time.time()
        length.press("Enter")
        now, end = _answered(page, but=now)
        seconds.append(end - start)
        page.wait_for_timeout(_LOOKS_MS)
    page.context.close()
    return seconds


def _reruns() -> list[float]:
    logging.disable(logging.WARNING)
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()
    seconds = []
    for length in range(300, 320):
        app.number_input(key="max_length").set_value(length)
        start = time.process_time()
        app.run()
        seconds.append(time.process_time() - start)
    return seconds[2:]


if __name__ == "__main__":
    main()
