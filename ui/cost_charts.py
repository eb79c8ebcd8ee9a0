"""The Cost page's picture: rented and owned cards over hours of work. A pure function; colours come from the theme."""

from typing import Any

from planner.cost.break_even import BreakEven
from ui.charts import GREY
from ui.money_text import usd
from ui.picture import Picture

Spec = dict[str, Any]
_HEIGHT = 340


def break_even_figure(found: BreakEven, run_hours: float | None) -> Picture:
    """USD in all over hours of work, rented and owned; where they cross, and where this run ends."""
    hours = [point.hours for point in found.curve]
    traces = [
        _line("rented", hours, [point.rented_usd for point in found.curve], "solid"),
        _line("owned", hours, [point.owned_usd for point in found.curve], "dash"),
    ]
    layout: Spec = {
        "height": _HEIGHT,
        "margin": {"l": 16, "r": 16, "t": 28, "b": 8},
        "legend": {"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        "xaxis": {"title": {"text": "hours of work"}, "fixedrange": True, "rangemode": "tozero", "tickformat": ","},
        "yaxis": {"ticksuffix": " USD", "fixedrange": True, "rangemode": "tozero", "nticks": 6, "tickformat": ","},
        "annotations": _crossing(found),
        "shapes": _run(run_hours, hours[-1]),
        "dragmode": False,
    }
    return Picture(traces, layout)


def _line(name: str, hours: list[float], usd_in_all: list[float], dash: str) -> Spec:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": hours,
        "y": usd_in_all,
        "line": {"dash": dash, "width": 3},
        "customdata": [usd(value) for value in usd_in_all],
        "hovertemplate": f"{name}, %{{x:,.0f}} hours: %{{customdata}}<extra></extra>",
    }


def _crossing(found: BreakEven) -> list[Spec]:
    if not found.pays_off or found.hours is None:
        return []
    return [
        {
            "x": found.hours,
            "y": found.hours * found.rent_usd_per_hour,
            "text": f"even at {found.hours:,.0f} hours",
            "showarrow": True,
            "arrowhead": 2,
            "arrowcolor": GREY,
            "ax": -50,
            "ay": -36,
        }
    ]


def _run(run_hours: float | None, until: float) -> list[Spec]:
    """This run's end as a grey line, where it is on the picture and not at its very edge."""
    if run_hours is None or not 0.005 * until <= run_hours <= until:
        return []
    line: Spec = {"color": GREY, "width": 2.5, "dash": "dot"}
    end: Spec = {"type": "line", "x0": run_hours, "x1": run_hours, "yref": "paper", "y0": 0, "y1": 1, "line": line}
    return [end | {"name": "this run", "showlegend": True}]


def break_even_alt(found: BreakEven) -> str:
    """The picture's takeaway, for those who cannot see it."""
    last = found.curve[-1]
    ends = f"after {last.hours:,.0f} hours rented cards cost {usd(last.rented_usd)}, owned {usd(last.owned_usd)}"
    if not found.pays_off:
        return f"Two rising lines that do not cross within the cards' {found.working_hours:,.0f} hours of work: {ends}."
    return f"Two rising lines that cross at {found.hours:,.0f} hours of work: {ends}."
