"""One training step as it goes on: live bytes by category, layer by layer, with the peak marked."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from planner.answer import CATEGORIES, PHASE_NAMES, Category, Phase, PhaseBytes, Plan
from planner.report import CATEGORY_NAMES
from planner.units import format_gib, gib
from ui.charts import GREY, PATTERNS, card_level, stacked_layout
from ui.picture import Picture, Spec
from ui.text import SHORT_PHASES

_HEIGHT = 400
#: A phase of one moment is as wide as this share of all layers' moments, so that its name has room.
_LEAST_SHARE = 0.17

Course = Sequence[PhaseBytes]


@dataclass(frozen=True, slots=True)
class _Span:
    """A phase in the picture: its moments and where it begins and ends."""

    phase: Phase
    moments: tuple[PhaseBytes, ...]
    start: float
    end: float

    @property
    def edges(self) -> list[float]:
        """Where each of its moments begins."""
        width = (self.end - self.start) / len(self.moments)
        return [self.start + i * width for i in range(len(self.moments))]


def course_figure(course: Course, plan: Plan) -> Picture:
    """The step as stacked areas, a step of the line a moment."""
    spans = _spans(course)
    layout = stacked_layout(_HEIGHT) | {
        "xaxis": {
            "tickvals": [(span.start + span.end) / 2 for span in spans],
            "ticktext": [SHORT_PHASES[span.phase] for span in spans],
            "tickfont": {"size": 11},
            "range": [0, spans[-1].end],
            "fixedrange": True,
            "showgrid": False,
            "autotickangles": [0, 90],
        },
        "yaxis": {"ticksuffix": " GiB", "nticks": 7, "fixedrange": True, "rangemode": "tozero"},
        "annotations": [_peak(spans)],
        "shapes": [*(_border(span.start) for span in spans[1:]), *card_level(plan)],
        "hovermode": "x unified",
    }
    return Picture([_area(category, spans) for category in CATEGORIES], layout)


def _spans(course: Course) -> list[_Span]:
    grouped = [(phase, tuple(moments)) for phase, moments in groupby(course, key=lambda moment: moment.phase)]
    least = max(_LEAST_SHARE * len(course), 1)
    spans, start = [], 0.0
    for phase, moments in grouped:
        end = start + max(len(moments), least)
        spans.append(_Span(phase, moments, start, end))
        start = end
    return spans


def _area(category: Category, spans: Sequence[_Span]) -> Spec:
    live = [moment.live_bytes.get(category, 0) for span in spans for moment in span.moments]
    return {
        "type": "scatter",
        "name": CATEGORY_NAMES[category],
        "x": [edge for span in spans for edge in span.edges] + [spans[-1].end],
        "y": [float(f"{gib(size):.7g}") for size in (*live, live[-1])],
        "hovertemplate": f"{CATEGORY_NAMES[category]}: %{{y:,.4~r}} GiB<extra></extra>",
        "mode": "lines",
        "line": {"width": 0.5, "shape": "hv"},
        "stackgroup": "live",
        "fillpattern": {"shape": PATTERNS[category], "solidity": 0.12, "size": 8, "fillmode": "overlay"},
        "showlegend": any(live),
    }


def _border(x: float) -> Spec:
    line = {"color": GREY, "width": 0.5, "dash": "dot"}
    return {"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def _peak(spans: Sequence[_Span]) -> Spec:
    """An arrow to the highest moment of all."""
    found = [(m.total_bytes, edge, span) for span in spans for m, edge in zip(span.moments, span.edges, strict=True)]
    total, edge, span = max(found, key=lambda one: one[0])
    return {
        "x": edge + (span.end - span.start) / len(span.moments) / 2,
        "y": gib(total),
        "text": f"peak {format_gib(total)}",
        "showarrow": True,
        "arrowhead": 2,
        "arrowcolor": GREY,
        "ax": 0,
        "ay": -24,
    }


def course_alt(course: Course, plan: Plan) -> str:
    """The picture's takeaway, for those who cannot see it."""
    peak = plan.peak_bytes + plan.runtime_bytes
    return (
        f"Stacked areas of live memory over the {len(course)} moments of one training step, layer by layer; the peak, "
        f"{format_gib(peak)}, falls in the {PHASE_NAMES[plan.peak_phase]}."
    )
