"""The Learn page in AppTest: tours and topics for the question in the link, and claims with their verdicts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from planner.catalog.claims import list_claims
from planner.learn.blocks import Formula, Heading
from planner.learn.topics import TOPICS, TOURS
from planner.learn.walkthrough import walk_through
from planner.schema import parse_request

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def visit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """The page as a visitor gets it, with these URL parameters."""
    monkeypatch.chdir(ROOT)

    def open_it(**query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "ui" / "pages" / "learn.py"), default_timeout=120)
        for key, value in query.items():
            app.query_params[key] = value
        app.run()
        assert not app.exception
        return app

    return open_it


def headers(app: AppTest) -> list[str]:
    return [str(header.value) for header in app.header]


def test_it_opens_with_a_tour(visit: Callable[..., AppTest]) -> None:
    app = visit()
    assert headers(app) == [TOPICS[topic].title for topic in TOURS["full"]]
    assert len(app.get("download_button")) == 1


def test_a_topic_is_about_the_question_of_the_link(visit: Callable[..., AppTest]) -> None:
    app = visit(topic="memory", model="openai-community/gpt2", method="qlora", max_length="512")
    walk = walk_through(
        "memory", parse_request({"model": "gpt2", "method": "qlora", "max_length": 512, "gpu": "rtx-4090"})
    )
    assert headers(app) == [walk.title]
    assert [str(latex.value).strip("$\n") for latex in app.latex] == [
        b.latex for b in walk.blocks if isinstance(b, Formula)
    ]
    assert [s.value for s in app.subheader] == [b.text for b in walk.blocks if isinstance(b, Heading) and b.level > 1]


@pytest.mark.parametrize("topic", [*TOPICS, *(f"tour: {name}" for name in TOURS)])
def test_every_topic_and_tour_opens(visit: Callable[..., AppTest], topic: str) -> None:
    app = visit(topic=topic)
    assert headers(app) and not app.error and not app.warning


def test_what_a_model_cannot_do_is_one_line(visit: Callable[..., AppTest]) -> None:
    app = visit(topic="lora-maths", model="state-spaces/mamba-2.8b-hf")
    assert [warning.value.startswith(TOPICS["lora-maths"].title) for warning in app.warning] == [True]


def test_a_model_that_is_not_known_is_one_line(visit: Callable[..., AppTest]) -> None:
    app = visit(topic="memory", model="no-such-model")
    assert len(app.error) == 1 and not app.header


def test_claims_stand_with_their_verdicts(visit: Callable[..., AppTest]) -> None:
    app = visit(learn="claims checked")
    frame = app.dataframe[0].value
    assert list(frame["id"]) == [row.id for row in list_claims()]
    assert sum(int(metric.value) for metric in app.metric) == len(frame)
    app.segmented_control(key="verdict").set_value("does not hold").run()
    assert not app.exception
    assert set(app.dataframe[0].value["verdict"]) == {"does not hold"}
    assert "LoRA on a 70B model" in str(app.subheader[0].value)
