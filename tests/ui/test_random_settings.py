"""No page breaks by any setting: addresses and inputs at random, good and broken, on every page."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.stand_in import use_script
from tests.ui.anything import random_address, shake
from tests.ui.conftest import ROOT
from ui import profile_sections

PAGES = tuple(sorted(path.stem for path in (ROOT / "ui" / "pages").glob("*.py")))
FAULT = "a fault of this program"
#: Settings of one visit: its address, then changes of the inputs.
A_VISIT = 5
#: The quick round has 60 settings a page, beside the hundred of test_fit_page.py; the slow one 300 more.
SEEDS = [*range(10), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 60))]


@pytest.fixture(autouse=True)
def child_that_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Runs that are started end at once: what is tried here is the page."""
    use_script(monkeypatch, tmp_path)("sys.exit('no room')")
    profile_sections.runner.clear()
    yield
    last = profile_sections.runner().last
    assert last is None or last.done.wait(30)


def visit(name: str, address: dict[str, Any]) -> AppTest:
    """A page opened by its own address."""
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page(f"ui/pages/{name}.py")
    for key, value in address.items():
        app.query_params[key] = value
    return app.run()


def check(app: AppTest, done: object) -> None:
    """The page stands: no exception, and whatever it refuses is said in one line that blames no program."""
    assert not app.exception, (done, app.exception)
    assert app.title or app.error, done
    for alert in (*app.error, *app.warning, *app.info):
        assert alert.value and "\n" not in alert.value.strip() and len(alert.value) < 600, (done, alert.value)
        assert FAULT not in alert.value and "Traceback" not in alert.value, (done, alert.value)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_settings_never_break_a_page(monkeypatch: pytest.MonkeyPatch, name: str, seed: int) -> None:
    monkeypatch.chdir(ROOT)
    random = Random(f"{name} {seed}")
    address = random_address(visit(name, {}), random) if seed else {}
    app = visit(name, address)
    check(app, address)
    done: list[Any] = [address]
    for _ in range(A_VISIT):
        done.append(shake(app, random))
        check(app.run(), done)


#: Addresses that broke a page once: an infinite number, nothing chosen, names as long as the address allows.
ONCE_BROKEN = (
    ("fit", "num_gpus", "inf", "num_gpus='inf' in the address is infinite"),
    ("fit", "num_tokens", "-1e999", "num_tokens='-1e999' in the address is infinite"),
    ("serve", "tenants", "infinity", "is infinite"),
    ("fit", "gpu", "nix" * 100, "is not in the catalogue; choose or type a card of the catalogue"),
    ("serve", "gpu", "nix", "is not in the catalogue; choose or type a card of the catalogue"),
    ("sweep", "sweep_gpus", "nix", "gpu 'nix' is not in the catalogue; choose or type"),
    ("sweep", "sweep_lengths", "x" * 900, "...': give a whole number of at least 1"),
    ("fit", "target_modules", "x" * 900, "... matches no linear layer"),
    *((page, key, "", "") for page, key in (("catalogue", "show"), ("labs", "lab"), ("evidence", "evidence_by"))),
)


@pytest.mark.parametrize(("name", "key", "value", "words"), ONCE_BROKEN)
def test_addresses_that_broke_a_page_once(
    monkeypatch: pytest.MonkeyPatch, name: str, key: str, value: str, words: str
) -> None:
    monkeypatch.chdir(ROOT)
    app = visit(name, {key: value})
    check(app, (key, value))
    assert [words in error.value for error in app.error] == ([True] if words else [])


def test_an_infinite_number_is_searched_for_as_any_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    app = visit("catalogue", {"find_models": "inf"})
    assert not app.error and app.text_input[0].value == "inf"
