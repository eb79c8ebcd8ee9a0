"""The pictures: what they sum to, where the lines stand, and that a colour always means the same."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from planner.answer import CATEGORIES, Plan
from planner.units import GIB
from ui.charts import breakdown_figure, timeline_figure
from ui.text import SHORT_PHASES

PlanMaker = Callable[..., Plan]


def bars(figure: object) -> list[object]:
    return [trace for trace in figure.data if trace.type == "bar"]  # type: ignore[attr-defined]


def test_breakdown_parts_sum_to_what_is_on_the_card(plan: Plan) -> None:
    assert sum(bar.x[0] for bar in bars(breakdown_figure(plan))) == plan.needed_bytes / GIB


def test_breakdown_draws_the_cards_line_and_names_it(plan: Plan) -> None:
    layout = breakdown_figure(plan).layout
    assert {shape.x0 for shape in layout.shapes} == {shape.x1 for shape in layout.shapes} == {16.0}
    assert layout.annotations[0].text == "card offers 16.0 GiB"


def test_breakdown_shows_the_band(plan: Plan) -> None:
    band = breakdown_figure(plan).data[-1]
    assert (band.x[0] - band.error_x.arrayminus[0], band.x[0] + band.error_x.array[0]) == (17.0, 20.0)


@pytest.mark.parametrize(("usable", "side"), [(4, "left"), (80, "right")])
def test_the_cards_label_stays_inside_the_picture(make_plan: PlanMaker, usable: int, side: str) -> None:
    figure = breakdown_figure(make_plan(usable_bytes=usable * GIB))
    assert figure.layout.annotations[0].xanchor == side
    assert figure.layout.xaxis.range[1] >= max(usable, 20)


def test_breakdown_without_a_card_has_no_line(make_plan: PlanMaker) -> None:
    figure = breakdown_figure(make_plan(usable_bytes=None, headroom_bytes=None, verdict=None, gpu=None))
    assert not figure.layout.shapes
    assert not figure.layout.annotations


def test_timeline_has_each_phase_and_sums_to_its_total(plan: Plan) -> None:
    figure = timeline_figure(plan)
    for index, moment in enumerate(plan.timeline):
        assert sum(bar.y[index] for bar in bars(figure)) == moment.total_bytes / GIB
    assert list(bars(figure)[0].x) == [SHORT_PHASES[moment.phase] for moment in plan.timeline]


def test_timeline_marks_the_peak(plan: Plan) -> None:
    mark = timeline_figure(plan).layout.annotations[0]
    assert (mark.x, mark.y, mark.text) == (SHORT_PHASES["backward_head"], 17.0, "peak 17.0 GiB")


def test_timeline_draws_the_cards_level_unless_it_would_flatten_the_step(make_plan: PlanMaker) -> None:
    near, far = timeline_figure(make_plan()), timeline_figure(make_plan(usable_bytes=80 * GIB))
    assert [shape.y0 for shape in near.layout.shapes] == [16.0, 16.0]
    assert [shape.name for shape in near.layout.shapes if shape.showlegend] == ["card offers 16.0 GiB"]
    assert not far.layout.shapes


def test_each_category_is_the_same_trace_in_both_pictures(plan: Plan) -> None:
    """Colours are given by position: a category that is empty keeps its place, but stays out of the legend."""
    in_bar, in_step = bars(breakdown_figure(plan)), bars(timeline_figure(plan))
    assert [bar.name for bar in in_bar[: len(CATEGORIES)]] == [bar.name for bar in in_step]
    assert [bar.name for bar in in_step if bar.showlegend] == [
        "weights",
        "optimizer states",
        "activations",
        "logits and loss",
        "CUDA context",
    ]


def test_neighbours_differ_without_colour(plan: Plan) -> None:
    shapes = [bar.marker.pattern.shape for bar in bars(breakdown_figure(plan)) if bar.showlegend]
    assert all(left != right for left, right in pairwise(shapes))


def test_colours_are_left_to_the_theme(plan: Plan) -> None:
    assert all(bar.marker.color is None for bar in bars(breakdown_figure(plan)) + bars(timeline_figure(plan)))


@pytest.mark.parametrize(("usable", "moved"), [(1, ["weights"]), (5, []), (8, []), (16, [])])
def test_the_cards_line_runs_through_no_label_that_can_move(
    make_plan: PlanMaker, usable: int, moved: list[str]
) -> None:
    """The middle of the weights, which end at 8 GiB, is clear of a line at 1, not of one at 5; the rest is short."""
    figure = breakdown_figure(make_plan(usable_bytes=usable * GIB))
    assert moved == [bar.name for bar in bars(figure) if bar.insidetextanchor == "middle"]
