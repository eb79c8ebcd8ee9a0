"""The picture of a step: it sums to the moments, keeps their order, and marks the highest."""

import pytest

from planner.answer import CATEGORIES
from planner.course import course
from planner.estimate import estimate
from planner.schema import parse_request
from planner.units import gib
from ui.course_chart import course_alt, course_figure
from ui.text import SHORT_PHASES

REQUEST = parse_request({"model": "meta-llama/Llama-3.2-1B", "method": "full", "gpu": "rtx-4090"})
MOMENTS, PLAN = course(REQUEST), estimate(REQUEST)


def test_areas_sum_to_the_moments() -> None:
    figure = course_figure(MOMENTS, PLAN)
    assert len(figure.data) == len(CATEGORIES)
    for index, moment in enumerate(MOMENTS):
        assert sum(area.y[index] for area in figure.data) == pytest.approx(gib(moment.total_bytes))
    assert {area.stackgroup for area in figure.data} == {"live"}


def test_time_goes_on_and_every_phase_has_its_name() -> None:
    figure = course_figure(MOMENTS, PLAN)
    edges = list(figure.data[0].x)
    assert edges == sorted(set(edges))
    assert list(figure.layout.xaxis.ticktext) == list(SHORT_PHASES.values())
    assert figure.layout.xaxis.range[1] == edges[-1]


def test_the_highest_moment_is_marked_and_said() -> None:
    mark = course_figure(MOMENTS, PLAN).layout.annotations[0]
    highest = max(moment.total_bytes for moment in MOMENTS)
    assert mark.y == gib(highest) == gib(PLAN.peak_bytes + PLAN.runtime_bytes)
    assert mark.text in (f"peak {gib(highest):.1f} GiB",)
    assert "the peak" in course_alt(MOMENTS, PLAN)


def test_colours_come_from_the_theme_and_textures_tell_neighbours_apart() -> None:
    figure = course_figure(MOMENTS, PLAN)
    assert all(area.line.color is None and area.fillcolor is None for area in figure.data)
    assert len({area.fillpattern.shape for area in figure.data}) >= 5
