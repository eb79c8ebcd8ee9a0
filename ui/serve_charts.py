"""The Serve page's pictures: pure functions to Plotly figures."""

from collections.abc import Sequence

from planner.report_serving import PART_NAMES
from planner.serving.answer import PARTS, Part, Serving
from planner.serving.scenario import Way
from planner.units import format_gib, gib
from ui.charts import GREY, card_line, clear_of_line, marker, segment, stacked_layout
from ui.picture import Picture, Spec

_PATTERNS: dict[Part, str] = {"base": "", "adapters": "/", "cache": ".", "runtime": "-"}
_HEIGHT, _WAYS_HEIGHT = 230, 250


def serving_figure(found: Serving) -> Picture:
    """The four parts as one stacked bar against what the card offers."""
    traces = [segment(PART_NAMES[part], getattr(found, f"{part}_bytes"), _PATTERNS[part]) for part in PARTS]
    edge = gib(max(found.total_bytes, found.usable_bytes or 0)) * 1.06
    clear_of_line(traces, found.usable_bytes, edge)
    layout = stacked_layout(_HEIGHT) | {
        "bargap": 0.1,
        "xaxis": {"ticksuffix": " GiB", "range": [0, edge], "fixedrange": True, "nticks": 7},
        "yaxis": {"visible": False, "fixedrange": True},
    }
    if found.usable_bytes is not None:
        layout |= card_line(found.usable_bytes, edge)
    return Picture(traces, layout)


def ways_figure(both: Sequence[Way], found: Serving) -> Picture:
    """Weights of all tenants, and what sequences and runtime need, one base with adapters over whole models."""
    names = [way.name for way in both]
    weights = [way.weights_bytes for way in both]
    rest = [way.serving_bytes - way.weights_bytes for way in both]
    traces = [_bars("weights", "", names, weights), _bars("cache and runtime", ".", names, rest)]
    if found.usable_bytes is not None:
        traces.append(_ticks(names, found.usable_bytes))
    layout = stacked_layout(_WAYS_HEIGHT) | {
        "bargap": 0.35,
        "xaxis": {"ticksuffix": " GiB", "fixedrange": True, "nticks": 6, "rangemode": "tozero"},
        "yaxis": {"autorange": "reversed", "fixedrange": True, "automargin": True, "type": "category"},
    }
    return Picture(traces, layout)


def _bars(name: str, pattern: str, names: list[str], sizes: list[int]) -> Spec:
    return {
        "type": "bar",
        "name": name,
        "y": [label.replace(" and ", "<br>and ").replace(" model each", "<br>model each") for label in names],
        "x": [gib(size) for size in sizes],
        "orientation": "h",
        "customdata": [format_gib(size, 2) for size in sizes],
        "hovertemplate": f"%{{y}}, {name}: %{{customdata}}<extra></extra>",
        "marker": marker(pattern),
    }


def _ticks(names: list[str], usable: int) -> Spec:
    return {
        "type": "scatter",
        "name": "one card offers",
        "x": [gib(usable)] * len(names),
        "y": _bars("", "", names, [])["y"],
        "mode": "markers",
        "marker": {"symbol": "line-ns", "size": 34, "line": {"width": 3, "color": GREY}},
        "hovertemplate": f"one card offers {format_gib(usable)}<extra></extra>",
    }


def serving_alt(found: Serving) -> str:
    """The bar's takeaway, for those who cannot see it."""
    parts = ", ".join(f"{PART_NAMES[p]} {format_gib(getattr(found, f'{p}_bytes'))}" for p in PARTS)
    card = f" against the {format_gib(found.usable_bytes)} the card offers" if found.usable_bytes is not None else ""
    return f"Stacked bar of the estimated {format_gib(found.total_bytes)}{card}: {parts}."


def ways_alt(both: Sequence[Way]) -> str:
    """The takeaway of the two ways."""
    said = "; ".join(f"{way.name} {format_gib(way.serving_bytes)}" for way in both)
    return f"Stacked bars of the estimated memory for {both[0].num_tenants:,} tenants: {said}."
