"""The Drills page in AppTest: asking, marking, the score, a mock interview."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from planner.drills.draw import drawn
from planner.drills.drill import Drill
from planner.drills.marking import right_answer
from ui.drill_state import MOCK_COUNT, MOCK_SECONDS, begin

Visit = Callable[..., AppTest]


@pytest.fixture
def open_drills(open_page: Visit) -> Visit:
    def visit(**query: str) -> AppTest:
        return open_page(**query).switch_page("ui/pages/drills.py").run()

    return visit


def put(app: AppTest, drill: Drill, answer: str) -> AppTest:
    """Type or choose an answer and send it."""
    if drill.choices:
        app.radio[0].set_value(answer)
    elif drill.kind == "open":
        app.text_area[0].input(answer)
    else:
        app.text_input[0].input(answer)
    return next(b for b in app.button if b.label in ("Check", "Answer")).click().run()


def shown(app: AppTest) -> str:
    return "\n".join(block.value for block in (*app.markdown, *app.code))


def test_a_right_answer_is_derived_and_scored(open_drills: Visit) -> None:
    app, found = open_drills(), drawn(1, 3)
    for number, drill in enumerate(found, 1):
        assert drill.text in shown(app)
        app = put(app, drill, right_answer(drill))
        assert not app.exception
        assert drill.derivation[-1] in shown(app)
        assert app.metric[0].value == f"{number} of {number}"
        app = next(b for b in app.button if b.label == "Next question").click().run()


def test_what_cannot_be_read_is_asked_again(open_drills: Visit) -> None:
    drill = drawn(1, 1, ("weights",))[0]
    app = open_drills(topics="weights")
    assert drill.text in shown(app)
    app = put(app, drill, "a lot")
    assert "is no number" in app.warning[0].value
    app = put(app, drill, "1 h")
    assert "a unit of something else" in shown(app)
    assert app.metric[0].value == "0 of 1"


def test_a_mock_interview_marks_at_the_end(open_drills: Visit) -> None:
    app = open_drills()
    app.toggle(key="mock").set_value(True).run()
    for drill in drawn(1, MOCK_COUNT):
        assert not app.metric
        app = put(app, drill, right_answer(drill))
        assert not app.exception
    assert f"{MOCK_COUNT} of {MOCK_COUNT} points" in app.subheader[0].value
    assert len(app.expander) == MOCK_COUNT


def test_the_clock_ends_a_mock_interview() -> None:
    session = begin(1, [], True, now=100.0)
    assert not session.is_over(100.0 + MOCK_SECONDS - 1)
    assert session.is_over(100.0 + MOCK_SECONDS)
    assert not begin(1, [], False, now=100.0).is_over(10.0**9)
