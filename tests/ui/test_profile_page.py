"""The Profile page in AppTest: start, watch, stop, the history, three levels; a stand-in for the child."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from planner import child
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.levels import TENSOR_CATEGORIES
from planner.runs.guard import may_start
from planner.runs.history import History
from tests.planner.runs.samples import HOST, TINY, record, request
from tests.stand_in import use_script
from ui import profile_sections, profile_text

Open = Callable[[], AppTest]


@pytest.fixture
def open_profile(open_page: Callable[..., AppTest]) -> Open:
    """The Profile page, of a small model."""
    return lambda: open_page(model="openai-community/gpt2", method="lora").switch_page("ui/pages/profile.py").run()


@pytest.fixture(autouse=True)
def fresh_runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    profile_sections.runner.clear()
    monkeypatch.setattr(child, "is_installed", lambda name: True)
    yield
    profile_sections.runner().stop()
    wait()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    return use_script(monkeypatch, tmp_path)


def wait() -> None:
    last = profile_sections.runner().last
    assert last is None or last.done.wait(30)


def button(app: AppTest, label: str):
    return next(one for one in app.button if one.label == label)


def until_it_says(app: AppTest, words: str) -> AppTest:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if any(words in str(one.proto) for one in app.get("progress")):
            return app
        time.sleep(0.2)
        app.run()
    raise AssertionError(f"the page never said {words!r}")


def test_a_first_visit_has_no_runs_and_brings_the_question_along(open_profile: Open) -> None:
    app = open_profile()
    assert not app.exception and not app.error
    assert app.markdown[0].value == "gpt2, LoRA, 1 x 1,024 tokens, measured on what is found here."
    assert any("No runs yet" in caption.value for caption in app.caption)


def test_a_run_is_watched_and_stopped(open_profile: Open, script: Callable[[str], None]) -> None:
    script("progress('step 2 of 3')\ntime.sleep(60)")
    app = button(open_profile(), "Start").click().run()
    until_it_says(app, "step 2 of 3; peak so far")
    assert button(app, "Start").disabled
    button(app, "Stop").click().run()
    profile_sections.runner().stop()  # a second press
    wait()
    app.run()
    assert "Stopped on request" in app.warning[0].value
    assert [row.status for row in History().rows()] == ["stopped"]


def test_a_run_that_dies_is_said_and_kept(open_profile: Open, script: Callable[[str], None]) -> None:
    script("os.kill(os.getpid(), signal.SIGKILL)")
    app = button(open_profile(), "Start").click().run()
    wait()
    app.run()
    assert "killed (signal 9)" in app.warning[0].value and not app.exception
    assert [row.status for row in History().rows()] == ["killed"]


def test_a_refused_request_is_one_line(open_profile: Open, script: Callable[[str], None]) -> None:
    script("say({'error': {'kind': 'refused', 'message': 'no such thing here', 'field': 'loss'}})")
    app = button(open_profile(), "Start").click().run()
    wait()
    app.run()
    assert [error.value for error in app.error] == ["No such thing here"]
    assert History().rows() == []


def test_the_newest_run_stands_at_three_levels(open_profile: Open) -> None:
    plan = estimate(request())
    names = ("weights_bytes", "peak_bytes", "steady_bytes", "trainable_params", "peak_phase")
    measured = {name: getattr(plan, name) for name in names} | {
        "live_bytes": {name: getattr(plan, f"{name}_bytes") for name in TENSOR_CATEGORIES},
        "timeline": [{"phase": row.phase, "total_bytes": row.total_bytes} for row in plan.timeline],
        "plan": {"peak_bytes": plan.peak_bytes},
    }
    seen = {"rss_bytes": 1, "step_seconds_spread": 0.1, "settings": {"seed": 0}}
    History().add(record() | measured | seen)
    app = open_profile()
    assert not app.exception
    assert [metric.label for metric in app.metric][:2] == ["Peak of tensors (measured)", "Peak of tensors (estimated)"]
    assert any("agree to the byte" in block.value for block in app.markdown)
    frame = app.dataframe[1].value
    assert list(frame["plan/measured"]) == [1.0] * len(frame) and "trace GiB" not in frame


def test_what_is_missing_is_named_with_what_to_install(open_profile: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "is_installed", lambda name: name != "peft")
    app = open_profile()
    assert "not installed here: peft" in app.info[0].value
    assert "pip install" in app.code[0].value
    assert not any(one.label == "Start" for one in app.button)


def test_a_broken_history_is_said(open_profile: Open, data_folder: Path) -> None:
    (data_folder / "history.sqlite").write_bytes(b"rubbish" * 1000)
    app = open_profile()
    assert not app.exception
    assert "set aside as" in app.warning[0].value


def test_a_hosted_copy_measures_nothing(open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBUDGET_HOSTED", "1")
    app = open_page().switch_page("ui/pages/profile.py").run()
    assert not app.exception
    assert "measures nothing on its host" in app.info[0].value
    assert not app.button
    assert not app.number_input


START = pytest.mark.parametrize(
    ("path", "query", "start"), [("profile", {}, "Start"), ("labs", {"lab": "Low rank by hand"}, "Train")]
)


@START
def test_a_start_that_comes_too_late_says_so(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch, path: str, query: dict[str, str], start: str
) -> None:
    """Another visitor's run can begin between the drawing of the page and the press."""
    mine = open_page(**query).switch_page(f"ui/pages/{path}.py").run()
    monkeypatch.setattr(profile_sections.runner(), "_start", lambda what, work: False)
    button(mine, start).click().run()
    said = "Another run is under way on this machine: wait for it, or stop it."
    assert [warning.value for warning in mine.warning] == [said]


@START
def test_another_visitor_s_run_is_shown(
    open_page: Callable[..., AppTest], script: Callable[[str], None], path: str, query: dict[str, str], start: str
) -> None:
    script("progress('step 2 of 3')\ntime.sleep(60)")
    assert profile_sections.runner().experiment("run of another", {"level": "low rank"})
    mine = until_it_says(open_page(**query).switch_page(f"ui/pages/{path}.py").run(), "run of another: step 2 of 3")
    assert button(mine, start).disabled
    assert any("One run at a time" in caption.value for caption in mine.caption)


def test_a_run_that_is_too_large_is_refused_in_the_words_of_the_page() -> None:
    wide = TINY | {"num_hidden_layers": 40, "hidden_size": 512, "intermediate_size": 2048}
    with pytest.raises(PlannerError) as refused:
        may_start(request(model=wide, method="full"), {**HOST, "free_bytes": 2**30}, None, force=False)
    said = profile_text.refusal(refused.value.message)
    assert said.startswith("This run needs about") and said.endswith("or fewer layers above")
