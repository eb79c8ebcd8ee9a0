"""The evidence for its page: every measured figure beside the planner's, asked once a process."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import streamlit as st

from planner.catalog.rows.band import BandFitRow
from planner.evidence.score import Evidence, score_own, score_published


@dataclass(frozen=True)
class Scored:
    """All figures that others published, and our own."""

    published: tuple[Evidence, ...]
    own: tuple[Evidence, ...]


@st.cache_resource(show_spinner="Asking for each measured run what the planner says of it")
def scored() -> Scored:
    """Every measured figure beside what the planner says of it."""
    return Scored(tuple(score_published()), tuple(score_own()))


@st.cache_resource(show_spinner=False)
def cuda_fit() -> BandFitRow | None:
    """How the fit of the band on cards came out; None where it was never fitted."""
    from planner.catalog.bands import list_band_fits

    return next((fit for fit in list_band_fits() if fit.asked == "named"), None)


def choices(found: Sequence[Evidence], name: str) -> list[str]:
    """The values of one property, the most frequent first."""
    values = [value for one in found if (value := getattr(one, name))]
    return sorted(set(values), key=lambda value: (-values.count(value), value))


def usual_band(found: Sequence[Evidence]) -> tuple[float, float] | None:
    """Median of the bands' lower and upper ends over the prediction; None where nothing is answered."""
    bands = [
        (one.low_bytes / one.predicted_bytes, one.high_bytes / one.predicted_bytes)
        for one in found
        if one.predicted_bytes and one.low_bytes is not None and one.high_bytes is not None
    ]
    return (median(low for low, _ in bands), median(high for _, high in bands)) if bands else None
