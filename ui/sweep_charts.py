"""The Sweep page's pictures: what fits by batch and length, time against money. Marks say what colours say."""

from collections.abc import Sequence
from math import log10

import numpy as np
from numpy.typing import NDArray

from planner.sweep.block import Block
from ui import money_text as words
from ui.charts import GREY
from ui.picture import Picture, Spec
from ui.sweep import Options

_CELL_HEIGHT = 38
_AROUND = 110
_FRONT_HEIGHT = 420

#: Verdict -> mark in a cell and colour: blue, orange and vermilion, which people with any colour vision tell apart.
MARKS = {"fits": ("✓", "#0072B2"), "tight": ("~", "#E69F00"), "does not fit": ("✗", "#B5B5B5")}
_ORDER = tuple(MARKS)


def heat_figure(table: Block) -> Picture:
    """Verdict and GiB for each batch (up) and length (across)."""
    lengths, batches, cells = _cells(table)
    numbers = [[_ORDER.index(verdict) if verdict in MARKS else None for verdict, _ in row] for row in cells]
    steps = [[(i + end) / 3, MARKS[name][1]] for i, name in enumerate(_ORDER) for end in (0, 1)]
    trace: Spec = {
        "type": "heatmap",
        "x": [f"{length:,}" for length in lengths],
        "y": [f"{batch:,}" for batch in batches],
        "z": numbers,
        "zmin": -0.5,
        "zmax": 2.5,
        "colorscale": steps,
        "text": [[_mark(verdict, gib) for verdict, gib in row] for row in cells],
        "texttemplate": "%{text}",
        "textfont": {"size": 13},
        "customdata": [[_said(verdict, gib) for verdict, gib in row] for row in cells],
        "hovertemplate": "batch %{y}, %{x} tokens: %{customdata}<extra></extra>",
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    layout: Spec = {
        "height": _AROUND + _CELL_HEIGHT * len(batches),
        "margin": {"l": 16, "r": 16, "t": 8, "b": 8},
        "xaxis": {"title": {"text": "length in tokens"}, "type": "category", "fixedrange": True},
        "yaxis": {"title": {"text": "batch size"}, "type": "category", "fixedrange": True},
        "dragmode": False,
    }
    return Picture([trace], layout)


Cell = tuple[str | None, float | None]


def _cells(table: Block) -> tuple[list[int], list[int], list[list[Cell]]]:
    """Lengths, batches, and (verdict, GiB) by batch, then by length."""
    found: dict[tuple[int, int], Cell] = {}
    names = ("max_length", "per_device_train_batch_size", "verdict", "needs_gib")
    for length, batch, verdict, gib in zip(*(table.values(name) for name in names), strict=True):
        found[int(length or 0), int(batch or 0)] = (None if verdict is None else str(verdict), _number(gib))
    lengths, batches = (sorted({key[axis] for key in found}) for axis in (0, 1))
    return lengths, batches, [[found[length, batch] for length in lengths] for batch in batches]


def _number(value: str | float | None) -> float | None:
    return None if value is None else float(value)


def _mark(verdict: str | None, gib: float | None) -> str:
    return "" if verdict is None or gib is None else f"{MARKS[verdict][0]} {gib:,.0f}"


def _said(verdict: str | None, gib: float | None) -> str:
    return "refused" if verdict is None or gib is None else f"{verdict}, {gib:,.1f} GiB"


def heat_alt(table: Block, what: str) -> str:
    """The picture's takeaway: the longest sequence that fits at each batch."""
    lengths, batches, cells = _cells(table)
    said = []
    for batch, row in zip(batches, cells, strict=True):
        fitting = [length for length, (verdict, _) in zip(lengths, row, strict=True) if verdict == "fits"]
        said.append(f"batch {batch:,}: {f'up to {max(fitting):,} tokens' if fitting else 'none'}")
    return f"Grid of what fits, {what} (estimated). {'; '.join(said)}."


def front_figure(options: Options) -> Picture:
    """Options as points of hours and USD; those that no other beats are joined by a line, the ends named."""
    known = [place for place, hours in enumerate(options.hours) if hours == hours]
    rest = [place for place in known if place not in set(options.front)]
    best = _points("no other is as fast and as cheap", options, options.front, {"size": 11, "symbol": "diamond"})
    traces = [
        _points("other options", options, rest, {"color": GREY, "size": 6, "symbol": "circle-open"}),
        best | {"mode": "lines+markers", "line": {"shape": "hv", "width": 2}},
    ]
    layout: Spec = {
        "height": _FRONT_HEIGHT,
        "margin": {"l": 16, "r": 16, "t": 28, "b": 8},
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        "xaxis": _axis(f"hours, {options.of}", options.hours),
        "yaxis": _axis(f"USD, {options.of}", options.usd),
        "annotations": _ends(options),
        "dragmode": False,
    }
    return Picture(traces, layout)


def _axis(title: str, values: NDArray[np.float64]) -> Spec:
    """Logarithmic, with room for the labels at both ends; ticks at 1, 2 and 5 where there is room for them."""
    known = np.log10(values[np.isfinite(values)])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    margin = 0.15 * (high - low) + 0.05
    return {
        "title": {"text": title},
        "type": "log",
        "fixedrange": True,
        "tickformat": "~g",
        "dtick": "D2" if high - low < 1.7 else 1,
        "range": [low - margin, high + margin],
    }


def _points(name: str, options: Options, places: Sequence[int], marker: Spec) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [float(options.hours[place]) for place in places],
        "y": [float(options.usd[place]) for place in places],
        "customdata": [_said_of(options, place) for place in places],
        "hovertemplate": "%{customdata}<extra></extra>",
        "marker": marker,
        "showlegend": bool(len(places)),
    }


def _said_of(options: Options, place: int) -> str:
    return f"{options.names[place]}: {words.hours(options.hours[place])}, {words.usd(options.usd[place])}"


def _ends(options: Options) -> list[Spec]:
    """The names of the fastest and of the cheapest option."""
    front = options.front
    ends = [(front[0], "fastest", "left", -30)] if front else []
    ends += [(front[-1], "cheapest", "right", 30)] if len(front) > 1 else []
    return [
        {
            "x": log10(options.hours[place]),
            "y": log10(options.usd[place]),
            "text": f"{word}: {options.names[place]}",
            "showarrow": True,
            "arrowhead": 2,
            "arrowcolor": GREY,
            "ax": 0,
            "ay": above,
            "xanchor": anchor,
        }
        for place, word, anchor, above in ends
    ]


def front_alt(options: Options) -> str:
    """The picture's takeaway."""
    if not options.front:
        return "No option fits and has a price and a speed."
    said = "; ".join(_said_of(options, place) for place in options.front)
    return f"Time against money of {options.of} (estimated), from the fastest to the cheapest: {said}."
