"""The Evidence page in AppTest: every figure is somewhere on it, filters narrow it, and links keep the filters."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from planner.catalog.measurements import list_own_runs, list_runs
from planner.evidence.score import score_published
from planner.evidence.speed_score import score_speeds
from planner.evidence.summary import errors_of
from planner.report_evidence import percent

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The page as a visitor gets it, with these URL parameters."""
    monkeypatch.chdir(ROOT)

    def open_it(**query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "ui" / "pages" / "evidence.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return open_it


def ids(app: AppTest) -> set[str]:
    """Every run that stands in one of the page's tables."""
    return {name for frame in app.dataframe if "id" in frame.value.columns for name in frame.value["id"]}


def test_the_page_opens_with_its_answer(visit: Callable[..., AppTest]) -> None:
    app = visit()
    errors = errors_of("all", [one for one in score_published() if one.full])
    assert app.title[0].value == "How right is it?"
    assert (app.metric[0].value, app.metric[0].delta) == (f"{errors.answered:,}", f"of {errors.figures:,}")
    assert app.metric[1].value == percent(errors.median_error)
    assert len(app.get("plotly_chart")) == 1


def test_nothing_is_left_out(visit: Callable[..., AppTest]) -> None:
    assert ids(visit(evidence_partly="true")) == {row.id for row in (*list_runs(), *list_own_runs())}


def test_a_filter_narrows_every_table(visit: Callable[..., AppTest]) -> None:
    app = visit()
    app.selectbox(key="evidence_stack").set_value("litgpt").run()
    assert not app.exception
    litgpt = {one.id for one in score_published() if one.stack == "litgpt" and one.full}
    assert ids(app) - {row.id for row in list_own_runs()} == litgpt


def test_a_link_keeps_its_filter(visit: Callable[..., AppTest]) -> None:
    assert visit(evidence_method="full").selectbox(key="evidence_method").value == "full"


def test_a_filter_that_leaves_only_refusals_is_no_fault(visit: Callable[..., AppTest]) -> None:
    app = visit()
    app.selectbox(key="evidence_method").set_value("adapter").run()
    assert not app.exception
    assert app.metric[1].value == "none"


def test_groups_follow_the_choice(visit: Callable[..., AppTest]) -> None:
    assert "method" in visit(evidence_by="method").dataframe[0].value.columns


def test_the_page_needs_no_torch() -> None:
    code = "import sys, ui.evidence_sections; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_speeds_stand_beside_the_planners_with_their_links(visit: Callable[..., AppTest]) -> None:
    app = visit(evidence_speed_by="devices")
    speeds = [one for one in score_speeds() if one.time is not None]
    (frame,) = [frame.value for frame in app.dataframe if "estimated tokens/s" in frame.value.columns]
    assert set(frame["run"]) == {one.row.id for one in speeds}
    assert frame["link"].str.startswith("https://").all()
    far = frame["error"].abs().iloc[0]
    assert far >= frame["error"].abs().median()
    (groups,) = [frame.value for frame in app.dataframe if "devices" in frame.value.columns]
    assert groups["answered"].sum() == len(speeds)
    assert any("training speeds that others measured" in text.value for text in app.markdown)
