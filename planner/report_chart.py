"""A bar chart as SVG text: for reports that stand alone, without a script and without the network."""

from collections.abc import Mapping, Sequence
from html import escape

_COLOURS = ("#4c78a8", "#f58518", "#54a24b")
_LABEL, _PLOT, _BAR, _GAP, _TOP = 240, 560, 9, 7, 34


def bars(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Horizontal bars, one group a name and one colour a series, each with its value."""
    if not names:
        return ""
    row = len(series) * _BAR + _GAP
    height, width = _TOP + len(names) * row + 6, _LABEL + _PLOT + 90
    edge = max(max(values) for values in series.values()) or 1.0
    parts = [f'<text x="0" y="13" font-size="14" font-weight="600">{escape(title)}</text>', _legend(list(series))]
    for number, name in enumerate(names):
        top = _TOP + number * row
        parts.append(_text(_LABEL - 8, top + row / 2, name, "end"))
        for place, values in enumerate(series.values()):
            parts.append(_bar(top + place * _BAR, values[number], edge, _COLOURS[place]))
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui,sans-serif" font-size="11">'
        f"{''.join(parts)}</svg></figure>"
    )


def _bar(top: float, value: float, edge: float, colour: str) -> str:
    length = _PLOT * value / edge
    shape = f'<rect x="{_LABEL}" y="{top}" width="{length:.1f}" height="{_BAR - 1}" fill="{colour}"/>'
    return shape + _text(_LABEL + length + 5, top + _BAR - 1, f"{value:.3g}", "start", 9)


def _legend(names: Sequence[str]) -> str:
    parts = []
    for number, name in enumerate(names):
        left = _LABEL + number * 130
        parts.append(f'<rect x="{left}" y="18" width="10" height="10" fill="{_COLOURS[number]}"/>')
        parts.append(_text(left + 15, 27, name, "start"))
    return "".join(parts)


def _text(x: float, y: float, text: str, anchor: str, size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'
