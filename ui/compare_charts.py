"""Several plans as stacked bars under each other, each against its own card's line."""

from collections.abc import Sequence
from typing import Any

from planner.answer import CATEGORIES, Plan
from planner.report import CATEGORY_NAMES
from planner.units import format_gib, gib
from ui.charts import GREY, PATTERNS, marker, stacked_layout
from ui.picture import Picture, Spec

_BAR_HEIGHT = 46
_AROUND = 130

Named = Sequence[tuple[str, Plan]]


def compare_figure(found: Named) -> Picture:
    """What each plan has on its card at the peak, by category, with the 90% band and what the card offers."""
    names = [name for name, _ in found]
    traces = [
        _segments(CATEGORY_NAMES[c], PATTERNS[c], names, [getattr(plan, f"{c}_bytes") for _, plan in found])
        for c in CATEGORIES
    ]
    traces.append(_segments("allocator's slack", "+", names, [plan.slack_bytes for _, plan in found]))
    traces += [_bands(found), *_cards(found)]
    edge = max(gib(max(plan.needed_band[1], plan.usable_bytes or 0)) for _, plan in found) * 1.06
    return Picture(traces, _layout(len(found), edge))


def _segments(name: str, pattern: str, names: list[str], sizes: list[int]) -> Spec:
    return {
        "type": "bar",
        "name": name,
        "y": names,
        "x": [gib(size) for size in sizes],
        "orientation": "h",
        "customdata": [format_gib(size, 2) for size in sizes],
        "hovertemplate": f"%{{y}}, {name}: %{{customdata}}<extra></extra>",
        "marker": marker(pattern),
        "showlegend": any(sizes),
    }


def _bands(found: Named) -> Spec:
    return {
        "type": "scatter",
        "name": "90% band",
        "x": [gib(plan.needed_bytes) for _, plan in found],
        "y": [name for name, _ in found],
        "mode": "markers",
        "marker": {"color": GREY, "size": 7, "symbol": "diamond"},
        "error_x": {
            "type": "data",
            "array": [gib(plan.needed_band[1] - plan.needed_bytes) for _, plan in found],
            "arrayminus": [gib(plan.needed_bytes - plan.needed_band[0]) for _, plan in found],
            "color": GREY,
            "thickness": 2,
            "width": 6,
        },
        "customdata": [f"{format_gib(plan.needed_band[0])} to {format_gib(plan.needed_band[1])}" for _, plan in found],
        "hovertemplate": "%{y}, 90% band: %{customdata}<extra></extra>",
    }


def _cards(found: Named) -> list[Spec]:
    """A tick at what each card offers."""
    carded = [(name, plan.usable_bytes) for name, plan in found if plan.usable_bytes is not None]
    if not carded:
        return []
    ticks: Spec = {
        "type": "scatter",
        "name": "card offers",
        "x": [gib(usable) for _, usable in carded],
        "y": [name for name, _ in carded],
        "mode": "markers",
        "marker": {"symbol": "line-ns", "size": 30, "line": {"width": 3, "color": GREY}},
        "customdata": [format_gib(usable) for _, usable in carded],
        "hovertemplate": "%{y}: the card offers %{customdata}<extra></extra>",
    }
    return [ticks]


def _layout(bars: int, edge: float) -> dict[str, Any]:
    return stacked_layout(_AROUND + _BAR_HEIGHT * bars) | {
        "bargap": 0.35,
        "xaxis": {"ticksuffix": " GiB", "range": [0, edge], "fixedrange": True, "nticks": 7},
        "yaxis": {"autorange": "reversed", "fixedrange": True, "automargin": True, "type": "category"},
    }


def compare_alt(found: Named) -> str:
    """The picture's takeaway, for those who cannot see it."""
    said = [f"{name} {format_gib(plan.needed_bytes)}" + _offered(plan) for name, plan in found]
    return f"Stacked bars of the estimated memory at the peak: {'; '.join(said)}."


def _offered(plan: Plan) -> str:
    return "" if plan.usable_bytes is None else f" of {format_gib(plan.usable_bytes)}"
