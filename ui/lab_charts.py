"""The laboratories' pictures: pure functions to Plotly figures."""

from collections.abc import Mapping, Sequence
from typing import Any

from planner.labs.lesson import Lesson
from planner.labs.levels import TYPES, levels
from ui.charts import GREY, stacked_layout
from ui.picture import Picture, Spec

_HEIGHT, _ERRORS_HEIGHT = 300, 220


def levels_figure(lesson: Lesson) -> Picture:
    """The block's weights over its constant, and the levels that each type has for them."""
    constant = float(lesson.shown["nf4"].absmax[0]) or 1.0
    traces = [_dots("weights", [float(w) / constant for w in lesson.weights], "circle", 6, 0.8)]
    traces += [_dots(name, [float(v) for v in levels(name)], "line-ns", 18, 1) for name in TYPES]
    layout = stacked_layout(_HEIGHT) | {
        "xaxis": {
            "range": [-1.05, 1.05],
            "fixedrange": True,
            "nticks": 9,
            "title": {"text": "over the block's constant"},
        },
        "yaxis": {"autorange": "reversed", "fixedrange": True, "automargin": True, "type": "category"},
        "showlegend": False,
    }
    return Picture(traces, layout)


def _dots(name: str, values: list[float], symbol: str, size: int, opacity: float) -> Spec:
    return {
        "type": "scatter",
        "name": name,
        "x": values,
        "y": [name] * len(values),
        "mode": "markers",
        "opacity": opacity,
        "marker": {"symbol": symbol, "size": size, "line": {"width": 2, "color": GREY}},
        "hovertemplate": f"{name}: %{{x:.4f}}<extra></extra>",
    }


def errors_figure(lesson: Lesson) -> Picture:
    """The error of each type over the whole tensor."""
    bars: Spec = {
        "type": "bar",
        "orientation": "h",
        "x": [one.rms for one in lesson.errors],
        "y": [one.name.replace(", ", ",<br>") for one in lesson.errors],
        "text": [f"{one.rms:.2%}" for one in lesson.errors],
        "hovertemplate": "%{y}: %{text}<extra></extra>",
    }
    layout = stacked_layout(_ERRORS_HEIGHT) | {
        "xaxis": {"tickformat": ".0%", "fixedrange": True, "nticks": 6, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "fixedrange": True, "automargin": True, "type": "category"},
    }
    return Picture([bars], layout)


def levels_alt(lesson: Lesson) -> str:
    """The levels' takeaway."""
    spread = ", ".join(f"{name} {len(set(map(float, levels(name))))}" for name in TYPES)
    return f"The block's {lesson.weights.size} weights over their constant, and the levels of each type: {spread}."


def errors_alt(lesson: Lesson) -> str:
    """The errors' takeaway."""
    said = ", ".join(f"{one.name} {one.rms:.2%}" for one in lesson.errors)
    return f"Bars of the root mean square error as a share of the weights' own: {said}."


_WAYS = {"full": ("solid", "circle"), "lora": ("dash", "square"), "qlora": ("dot", "diamond")}


def losses_figure(ways: Sequence[Mapping[str, Any]]) -> Picture:
    """The loss after so many steps, a line a way of training."""
    traces = [_line(way, *_WAYS[way["method"]]) for way in ways]
    layout = stacked_layout(_HEIGHT) | {
        "xaxis": {"title": {"text": "steps"}, "fixedrange": True, "nticks": 8},
        "yaxis": {"title": {"text": "loss a character"}, "fixedrange": True, "nticks": 6},
    }
    return Picture(traces, layout)


def _line(way: Mapping[str, Any], dash: str, symbol: str) -> Spec:
    return {
        "type": "scatter",
        "name": way["method"],
        "x": list(way["steps"]),
        "y": list(way["losses"]),
        "mode": "lines+markers",
        "line": {"dash": dash},
        "marker": {"symbol": symbol, "size": 6},
        "hovertemplate": f"{way['method']}, step %{{x}}: %{{y:.3f}}<extra></extra>",
    }


def losses_alt(ways: Sequence[Mapping[str, Any]]) -> str:
    """The curves' takeaway."""
    said = ", ".join(f"{way['method']} from {way['losses'][0]:.3f} to {way['losses'][-1]:.3f}" for way in ways)
    return f"Lines of the measured loss over the steps: {said}."
