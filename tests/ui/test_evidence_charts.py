"""The evidence's picture: each figure once, inside or outside its band, between the lines' ends."""

from typing import Any

import pytest

from planner.evidence.score import Evidence
from planner.units import GIB
from tests.planner.evidence.rows import row
from ui.evidence import usual_band
from ui.evidence_charts import scatter_alt, scatter_figure


def figure(name: str, predicted: int | None, measured: int, **changes: Any) -> Evidence:
    band = (
        {} if predicted is None else {"low_bytes": int(0.9 * predicted * GIB), "high_bytes": int(1.2 * predicted * GIB)}
    )
    predicted_bytes = None if predicted is None else predicted * GIB
    return row(name, predicted_bytes, measured * GIB, **(band | changes))


FOUND = [
    figure("right", 10, 10),
    figure("above", 10, 20),
    figure("below", 40, 20),
    figure("refused", None, 30),
    figure("ran out", 50, 40, ran_out=True),
]


def named(name: str) -> Any:
    return next(trace for trace in scatter_figure(FOUND, usual_band(FOUND)).data if trace.name.startswith(name))


def test_each_answered_figure_is_one_mark_by_its_band() -> None:
    inside, outside = named("in its band"), named("outside its band")
    assert (list(inside.x), list(inside.y)) == ([10.0], [10.0])
    assert (list(outside.x), list(outside.y)) == ([10.0, 40.0], [20.0, 20.0])
    assert inside.marker.symbol != outside.marker.symbol


def test_marks_say_what_they_are() -> None:
    text = named("outside its band").customdata[0]
    assert "above: model, lora, 1 GPU<br>" in text
    assert "measured 20.00 GiB, estimated 10.00 GiB (-50.0%)" in text


def test_the_strip_is_the_usual_band() -> None:
    strip = named("usual")
    assert strip.y[0] / strip.x[0] == pytest.approx(0.9)
    assert strip.y[-1] / strip.x[-1] == pytest.approx(1.2)


def test_all_marks_lie_inside_the_axes() -> None:
    layout = scatter_figure(FOUND, None).layout
    for axis in (layout.xaxis, layout.yaxis):
        assert axis.type == "log"
        assert 10 ** axis.range[0] < 10
        assert 10 ** axis.range[1] > 40


def test_nothing_answered_is_an_empty_picture() -> None:
    refused = [figure("refused", None, 30)]
    assert usual_band(refused) is None
    assert all(not trace.x for trace in scatter_figure(refused, None).data[:2])
    assert "no figure is answered" in scatter_alt(refused)


def test_the_words_say_what_the_picture_shows() -> None:
    assert scatter_alt(FOUND) == (
        "Scatter of estimated against measured memory: 3 figures from 10.0 GiB to 20.0 GiB; 1 lie in their 90% band; "
        "1 are under-estimated."
    )
