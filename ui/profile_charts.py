"""The Profile page's picture: three levels side by side, as a Plotly figure."""

from collections.abc import Sequence
from typing import Any

from planner.side_by_side import Levels
from planner.units import MIB
from ui.picture import Picture
from ui.profile_tables import level_name

#: Level, the field of a row, and a texture, so that neighbours differ without colour.
_LEVELS = (("plan (estimated)", "plan", ""), ("trace", "trace", "/"), ("profile (measured)", "profile", "."))


def levels_figure(rows: Sequence[Levels]) -> Picture:
    """Grouped bars: what each level says of each row, in MiB; a level that is missing has no bars."""
    shown = [row for row in rows if any((row.plan, row.trace, row.profile))]
    names = [level_name(row.name) for row in shown]
    traces = [
        _bars(level, names, [getattr(row, field) for row in shown], pattern)
        for level, field, pattern in _LEVELS
        if any(getattr(row, field) is not None for row in shown)
    ]
    layout = {
        "barmode": "group",
        "height": 320,
        "margin": {"l": 16, "r": 16, "t": 28, "b": 8},
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        "xaxis": {"fixedrange": True},
        "yaxis": {"ticksuffix": " MiB", "fixedrange": True, "rangemode": "tozero", "nticks": 6},
        "dragmode": False,
    }
    return Picture(traces, layout)


def _bars(level: str, names: list[str], values: list[int | None], pattern: str) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": level,
        "x": names,
        "y": [None if value is None else value / MIB for value in values],
        "hovertemplate": f"{level}, %{{x}}: %{{y:,.3f}} MiB<extra></extra>",
        "marker": {"pattern": {"shape": pattern, "solidity": 0.15, "size": 8, "fillmode": "overlay"}},
    }
