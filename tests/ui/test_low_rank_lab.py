"""The low-rank laboratory in AppTest, with a stand-in for the child: start, outcome, failure."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from planner import child
from tests.stand_in import use_script
from ui import lab_charts, profile_sections

WAY = (
    "{"
    "'method': m, 'trained_params': 20, 'total_params': 100, 'seconds': 1.5, 'peak_bytes': 2**20, "
    "'steps': [0, 10], 'losses': [2.5, 2.0]}"
)
ANSWER = f"say({{'answer': {{'r': task['r'], 'base_loss': 2.5, 'ways': [{WAY} for m in ('full', 'lora', 'qlora')]}}}})"


@pytest.fixture(autouse=True)
def fresh_runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    profile_sections.runner.clear()
    monkeypatch.setattr(child, "is_installed", lambda name: True)
    yield
    profile_sections.runner().stop()


@pytest.fixture
def train(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], AppTest]:
    """The page after a run of this script."""
    use = use_script(monkeypatch, tmp_path)

    def run(script: str) -> AppTest:
        use(script)
        app = open_page(lab="Low rank by hand").switch_page("ui/pages/labs.py").run()
        next(b for b in app.button if b.label == "Train").click().run()
        last = profile_sections.runner().last
        assert last is not None and last.done.wait(30)
        return app.run()

    return run


def test_a_run_shows_curves_and_what_each_way_took(train: Callable[[str], AppTest]) -> None:
    app = train(ANSWER)
    assert not app.exception and not app.error
    assert len(app.get("plotly_chart")) == 1
    said = " ".join(block.value for block in (*app.markdown, *app.caption))
    assert "rank 8" in said and "20 parameters trained (20.0%)" in said


def test_a_run_that_fails_says_why(train: Callable[[str], AppTest]) -> None:
    app = train("sys.exit('no room')")
    assert "no room" in app.error[0].value


def test_the_curves_say_what_they_show() -> None:
    ways = [{"method": "lora", "steps": [0, 5], "losses": [2.5, 2.25]}]
    assert lab_charts.losses_alt(ways) == "Lines of the measured loss over the steps: lora from 2.500 to 2.250."
    assert list(lab_charts.losses_figure(ways).data[0].y) == [2.5, 2.25]
