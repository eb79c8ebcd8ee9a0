"""The evidence's picture: a pure function from figures to a Plotly figure. Colours come from the theme."""

from collections.abc import Sequence
from math import log10
from typing import Any

from planner.evidence.score import Evidence
from planner.report_evidence import percent
from planner.units import format_gib, gib
from ui.charts import GREY
from ui.picture import Picture

_HEIGHT = 520
#: Space on both sides of the smallest and the largest figure, as a factor.
_MARGIN = 1.25
_TICKS_GIB = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)

Spec = dict[str, Any]


def scatter_figure(found: Sequence[Evidence], band: tuple[float, float] | None) -> Picture:
    """Measured over predicted, both in GiB on logarithmic axes: on the line they are equal.

    band: lower and upper end over the prediction, drawn as a strip along the line. Each figure is held against the
    band of its own answer: what lies outside is a cross.
    """
    shown = [one for one in found if one.predicted_bytes and not one.ran_out]
    inside = [one for one in shown if one.in_band]
    outside = [one for one in shown if not one.in_band]
    edges = _edges(shown)
    traces = [_points("in its band", inside, "circle"), _points("outside its band", outside, "x"), *_lines(edges, band)]
    axis: Spec = {
        "type": "log",
        "range": [edges[0], edges[1]],
        "tickvals": list(_TICKS_GIB),
        "fixedrange": True,
    }
    return Picture(traces, _layout(axis))


def _edges(shown: Sequence[Evidence]) -> tuple[float, float]:
    """Both axes' range in powers of ten, so that all figures lie inside."""
    values = [gib(value) for one in shown for value in (one.predicted_bytes or 0, one.measured_bytes)] or [1.0, 100.0]
    return log10(min(values) / _MARGIN), log10(max(values) * _MARGIN)


def _points(name: str, found: Sequence[Evidence], symbol: str) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{name} ({len(found)})",
        "x": [gib(one.predicted_bytes or 0) for one in found],
        "y": [gib(one.measured_bytes) for one in found],
        "customdata": [_hover(one) for one in found],
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": {"symbol": symbol, "size": 8, "opacity": 0.75},
    }


def _hover(one: Evidence) -> str:
    return (
        f"{one.id}: {one.model.rpartition('/')[2]}, {one.method}, {one.num_gpus} GPU{'s' * (one.num_gpus > 1)}<br>"
        f"{one.metric}: measured {format_gib(one.measured_bytes, 2)}, estimated "
        f"{format_gib(one.predicted_bytes or 0, 2)} ({percent(one.error, signed=True)})<br>"
        f"band {format_gib(one.low_bytes or 0, 2)} to {format_gib(one.high_bytes or 0, 2)}"
    )


def _lines(edges: tuple[float, float], band: tuple[float, float] | None) -> list[Spec]:
    """The line of equality, and the strip of the usual band around it."""
    ends = [10 ** edges[0], 10 ** edges[1]]
    equal: Spec = {
        "type": "scatter",
        "mode": "lines",
        "name": "estimated = measured",
        "x": ends,
        "y": ends,
        "line": {"color": GREY, "width": 1.5, "dash": "dash"},
        "hoverinfo": "skip",
    }
    if band is None:
        return [equal]
    strip: Spec = {
        "type": "scatter",
        "mode": "lines",
        "name": "usual 90% band",
        "x": [*ends, *reversed(ends)],
        "y": [*(end * band[0] for end in ends), *(end * band[1] for end in reversed(ends))],
        "fill": "toself",
        "fillcolor": "rgba(128,132,149,0.35)",
        "line": {"width": 0},
        "hoverinfo": "skip",
    }
    return [strip, equal]


def _layout(axis: Spec) -> Spec:
    return {
        "height": _HEIGHT,
        "margin": {"l": 8, "r": 16, "t": 8, "b": 8},
        "xaxis": axis | {"title": {"text": "estimated GiB"}},
        "yaxis": axis | {"title": {"text": "measured GiB"}},
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        "dragmode": False,
        "hovermode": "closest",
    }


def scatter_alt(found: Sequence[Evidence]) -> str:
    """What the picture shows, in words."""
    shown = [one for one in found if one.predicted_bytes and not one.ran_out]
    if not shown:
        return "Scatter of estimated against measured memory: no figure is answered."
    smallest, largest = min(one.measured_bytes for one in shown), max(one.measured_bytes for one in shown)
    inside = sum(bool(one.in_band) for one in shown)
    under = sum((one.error or 0) < 0 for one in shown)
    return (
        f"Scatter of estimated against measured memory: {len(shown)} figures from {format_gib(smallest)} to "
        f"{format_gib(largest)}; {inside} lie in their 90% band; {under} are under-estimated."
    )
