"""The page's pictures: pure functions from a plan to a Plotly figure.

Colours come from the theme (chartCategoricalColors in .streamlit/config.toml): each category is always the same trace,
so it always has the same colour. What is neither category nor theme is grey, which reads on light and dark.
"""

import plotly.graph_objects as go

from planner.answer import CATEGORIES, PHASE_NAMES, Category, Plan
from planner.units import format_gib, gib
from ui.text import SHORT_PHASES

GREY = "#808495"
_BAR_HEIGHT = 250
_TIMELINE_HEIGHT = 380

#: A texture for each category, so that neighbours differ without colour.
_PATTERNS: dict[Category, str] = {
    "weights": "",
    "gradients": "/",
    "optimizer": ".",
    "activations": "",
    "logits": "\\",
    "workspace": "x",
    "runtime": "-",
}


def breakdown_figure(plan: Plan) -> go.Figure:
    """What is live at the peak, by category, as one stacked bar against the card's usable memory."""
    figure = go.Figure()
    for category in CATEGORIES:
        figure.add_trace(_segment(category, getattr(plan, f"{category}_bytes"), category, _PATTERNS[category]))
    figure.add_trace(_segment("allocator", plan.reserved_bytes - plan.peak_bytes, "allocator's slack", "+"))
    figure.add_trace(_band(plan))
    edge = gib(max(plan.high_bytes, plan.usable_bytes or 0)) * 1.06
    figure.update_layout(_layout(_BAR_HEIGHT), bargap=0.1)
    figure.update_xaxes(ticksuffix=" GiB", range=[0, edge], fixedrange=True, nticks=7)
    figure.update_yaxes(visible=False, fixedrange=True)
    if plan.usable_bytes is not None:
        _card_line(figure, plan.usable_bytes, edge)
    return figure


def _segment(name: str, num_bytes: int, label: str, pattern: str) -> go.Bar:
    return go.Bar(
        name=label,
        y=[""],
        x=[gib(num_bytes)],
        orientation="h",
        text=[f"{label} {format_gib(num_bytes)}"],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        hovertemplate=f"{label}: {format_gib(num_bytes, 2)}<extra></extra>",
        marker=_marker(pattern),
        showlegend=num_bytes > 0,
        meta=name,
    )


def _marker(pattern: str) -> dict[str, object]:
    return {"pattern": {"shape": pattern, "solidity": 0.12, "size": 8, "fillmode": "overlay"}, "line": {"width": 0}}


def _band(plan: Plan) -> go.Scatter:
    """The 90% band on the whole, as a whisker at the end of the bar."""
    text = f"90% band: {format_gib(plan.low_bytes)} to {format_gib(plan.high_bytes)}"
    return go.Scatter(
        name="90% band",
        x=[gib(plan.device_bytes)],
        y=[""],
        mode="markers",
        marker={"color": GREY, "size": 7, "symbol": "diamond"},
        error_x={
            "type": "data",
            "array": [gib(plan.high_bytes - plan.device_bytes)],
            "arrayminus": [gib(plan.device_bytes - plan.low_bytes)],
            "color": GREY,
            "thickness": 2,
            "width": 8,
        },
        hovertemplate=f"{text}<extra></extra>",
    )


def _card_line(figure: go.Figure, usable_bytes: int, edge: float) -> None:
    usable = gib(usable_bytes)
    figure.add_vline(
        x=usable,
        line={"color": GREY, "width": 2, "dash": "dash"},
        annotation={
            "text": f"card offers {format_gib(usable_bytes)}",
            "xanchor": "right" if usable > edge / 2 else "left",
            "yanchor": "bottom",
            "y": 1,
            "showarrow": False,
        },
    )


def timeline_figure(plan: Plan) -> go.Figure:
    """Live bytes by category over the phases of one step, each at its largest moment, with the peak marked."""
    figure = go.Figure()
    phases = [SHORT_PHASES[moment.phase] for moment in plan.timeline]
    for category in CATEGORIES:
        live = [moment.live_bytes.get(category, 0) for moment in plan.timeline]
        figure.add_trace(
            go.Bar(
                name=category,
                x=phases,
                y=[gib(num_bytes) for num_bytes in live],
                customdata=[format_gib(num_bytes, 2) for num_bytes in live],
                hovertemplate=f"{category}: %{{customdata}}<extra>%{{x}}</extra>",
                marker=_marker(_PATTERNS[category]),
                showlegend=any(live),
                meta=category,
            )
        )
    figure.update_layout(_layout(_TIMELINE_HEIGHT), bargap=0.04)
    figure.update_xaxes(fixedrange=True, tickangle=0, tickfont={"size": 11})
    figure.update_yaxes(ticksuffix=" GiB", nticks=7, fixedrange=True, rangemode="tozero")
    _mark_peak(figure, plan)
    if plan.usable_bytes is not None:
        _card_level(figure, plan)
    return figure


def _mark_peak(figure: go.Figure, plan: Plan) -> None:
    peak = plan.peak_bytes + plan.runtime_bytes
    figure.add_annotation(
        x=SHORT_PHASES[plan.peak_phase],
        y=gib(peak),
        text=f"peak {format_gib(peak)}",
        hovertext=PHASE_NAMES[plan.peak_phase],
        showarrow=True,
        arrowhead=2,
        arrowcolor=GREY,
        ax=0,
        ay=-24,
    )


def _card_level(figure: go.Figure, plan: Plan) -> None:
    """The card's line, where it is near enough to tell something: a card ten times as large would flatten the step."""
    assert plan.usable_bytes is not None
    if plan.usable_bytes > 3 * plan.device_bytes:
        return
    figure.add_hline(
        y=gib(plan.usable_bytes),
        line={"color": GREY, "width": 2, "dash": "dash"},
        annotation={
            "text": f"card offers {format_gib(plan.usable_bytes)}",
            "xanchor": "right",
            "x": 1,
            "yanchor": "bottom",
            "showarrow": False,
        },
    )


def _layout(height: int) -> dict[str, object]:
    return {
        "barmode": "stack",
        "height": height,
        "margin": {"l": 16, "r": 16, "t": 28, "b": 8},
        "legend": {"orientation": "h", "yanchor": "top", "y": -0.22, "x": 0, "traceorder": "normal"},
        "uniformtext": {"mode": "hide", "minsize": 11},
        "dragmode": False,
    }
