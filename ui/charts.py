"""The page's pictures: pure functions from a plan to a Plotly figure.

Colours come from the theme (chartCategoricalColors in .streamlit/config.toml): each category is always the same trace,
so it always has the same colour. What is neither category nor theme is grey, which reads on light and dark.
"""

from planner.answer import CATEGORIES, Category, PhaseBytes, Plan
from planner.report import CATEGORY_NAMES
from planner.units import format_gib, gib
from ui.picture import Picture, Spec
from ui.text import SHORT_PHASES

#: What st.plotly_chart is to show besides the picture: nothing.
CONFIG = {"displayModeBar": False}

GREY = "#808495"

#: A card's line: grey dashes on white, which read on every bar, on light and on dark.
_LINES = ({"color": "#FFFFFF", "width": 4}, {"color": GREY, "width": 2.5, "dash": "dash"})
#: How much of a picture's width the label of a segment takes.
_LABEL = 0.2
_BAR_HEIGHT = 250
_TIMELINE_HEIGHT = 380

#: A texture for each category, so that neighbours differ without colour.
PATTERNS: dict[Category, str] = {
    "weights": "",
    "gradients": "/",
    "optimizer": ".",
    "activations": "",
    "logits": "\\",
    "workspace": "x",
    "runtime": "-",
}


def breakdown_figure(plan: Plan) -> Picture:
    """What is on the card at the peak, by category, as one stacked bar against the card's usable memory."""
    traces = [segment(CATEGORY_NAMES[c], getattr(plan, f"{c}_bytes"), PATTERNS[c]) for c in CATEGORIES]
    traces += [segment("allocator's slack", plan.slack_bytes, "+"), _band(plan)]
    edge = gib(max(plan.needed_band[1], plan.usable_bytes or 0)) * 1.06
    clear_of_line(traces, plan.usable_bytes, edge)
    layout = stacked_layout(_BAR_HEIGHT) | {
        "bargap": 0.1,
        "xaxis": {"ticksuffix": " GiB", "range": [0, edge], "fixedrange": True, "nticks": 7},
        "yaxis": {"visible": False, "fixedrange": True},
    }
    if plan.usable_bytes is not None:
        layout |= card_line(plan.usable_bytes, edge)
    return Picture(traces, layout)


def segment(name: str, num_bytes: int, pattern: str) -> Spec:
    return {
        "type": "bar",
        "name": name,
        "y": [""],
        "x": [gib(num_bytes)],
        "orientation": "h",
        "text": [f"{name} {format_gib(num_bytes)}"],
        "textposition": "inside",
        "insidetextanchor": "start",
        "textangle": 0,
        "hovertemplate": f"{name}: {format_gib(num_bytes, 2)}<extra></extra>",
        "marker": marker(pattern),
        "showlegend": num_bytes > 0,
    }


def clear_of_line(traces: list[Spec], usable_bytes: int | None, edge: float) -> None:
    """Move a segment's label to its middle where the card's line would run through it, and the middle has room."""
    start, label = 0.0, _LABEL * edge
    for trace in traces:
        if usable_bytes is None or trace["type"] != "bar":
            continue
        before = gib(usable_bytes) - start
        if 0 <= before < label and trace["x"][0] - label > 2 * before:
            trace["insidetextanchor"] = "middle"
        start += trace["x"][0]


def marker(pattern: str) -> Spec:
    """How a category's bars are filled: its colour comes from the theme, its texture from here."""
    return {"pattern": {"shape": pattern, "solidity": 0.12, "size": 8, "fillmode": "overlay"}, "line": {"width": 0}}


def _band(plan: Plan) -> Spec:
    """The 90% band on the whole, as a whisker at the end of the bar."""
    text = f"90% band: {format_gib(plan.needed_band[0])} to {format_gib(plan.needed_band[1])}"
    return {
        "type": "scatter",
        "name": "90% band",
        "x": [gib(plan.needed_bytes)],
        "y": [""],
        "mode": "markers",
        "marker": {"color": GREY, "size": 7, "symbol": "diamond"},
        "error_x": {
            "type": "data",
            "array": [gib(plan.needed_band[1] - plan.needed_bytes)],
            "arrayminus": [gib(plan.needed_bytes - plan.needed_band[0])],
            "color": GREY,
            "thickness": 2,
            "width": 8,
        },
        "hovertemplate": f"{text}<extra></extra>",
    }


def card_line(usable_bytes: int, edge: float) -> Spec:
    """The card's line and its label, above the bar."""
    usable = gib(usable_bytes)
    line: Spec = {"type": "line", "x0": usable, "x1": usable, "yref": "paper", "y0": 0, "y1": 1}
    label: Spec = {
        "text": f"card offers {format_gib(usable_bytes)}",
        "x": usable,
        "y": 1,
        "yref": "paper",
        "xanchor": "right" if usable > edge / 2 else "left",
        "yanchor": "bottom",
        "showarrow": False,
    }
    return {"shapes": [line | {"line": stroke} for stroke in _LINES], "annotations": [label]}


def timeline_figure(plan: Plan) -> Picture:
    """Live bytes by category over the phases of one step, each at its largest moment, with the peak marked."""
    layout = stacked_layout(_TIMELINE_HEIGHT) | {
        "bargap": 0.04,
        "xaxis": {"fixedrange": True, "autotickangles": [0, 90], "tickfont": {"size": 11}},
        "yaxis": {"ticksuffix": " GiB", "nticks": 7, "fixedrange": True, "rangemode": "tozero"},
        "annotations": [_peak(plan)],
        "shapes": card_level(plan),
    }
    return Picture([_moments(c, plan.timeline) for c in CATEGORIES], layout)


def _moments(category: Category, timeline: tuple[PhaseBytes, ...]) -> Spec:
    live = [moment.live_bytes.get(category, 0) for moment in timeline]
    return {
        "type": "bar",
        "name": CATEGORY_NAMES[category],
        "x": [SHORT_PHASES[moment.phase] for moment in timeline],
        "y": [gib(num_bytes) for num_bytes in live],
        "customdata": [format_gib(num_bytes, 2) for num_bytes in live],
        "hovertemplate": f"{CATEGORY_NAMES[category]}: %{{customdata}}<extra></extra>",
        "marker": marker(PATTERNS[category]),
        "showlegend": any(live),
    }


def _peak(plan: Plan) -> Spec:
    peak = plan.peak_bytes + plan.runtime_bytes
    return {
        "x": SHORT_PHASES[plan.peak_phase],
        "y": gib(peak),
        "text": f"peak {format_gib(peak)}",
        "showarrow": True,
        "arrowhead": 2,
        "arrowcolor": GREY,
        "ax": 0,
        "ay": -24,
    }


def card_level(plan: Plan) -> list[Spec]:
    """The card's line, where it is near enough to tell something: a card far larger would flatten the step."""
    if plan.usable_bytes is None or plan.usable_bytes > 3 * plan.needed_bytes:
        return []
    usable = gib(plan.usable_bytes)
    line: Spec = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": usable, "y1": usable}
    named = {"name": f"card offers {format_gib(plan.usable_bytes)}", "showlegend": True}
    under, over = _LINES
    return [line | {"line": under}, line | named | {"line": over}]


def stacked_layout(height: int) -> Spec:
    """What the pictures of stacked parts have in common."""
    return {
        "barmode": "stack",
        "height": height,
        "margin": {"l": 16, "r": 16, "t": 28, "b": 8},
        "legend": {
            "orientation": "h",
            "yref": "container",
            "yanchor": "bottom",
            "y": 0,
            "x": 0,
            "traceorder": "normal",
        },
        "uniformtext": {"mode": "hide", "minsize": 11},
        "dragmode": False,
    }
