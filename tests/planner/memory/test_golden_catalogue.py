"""The planner against recorded traces of the catalogue's models: no model may be further off than was recorded."""

from statistics import median

import pytest

from tests.golden.catalogue import ERRORS, Case, error_percent, read_recorded, read_traces
from tests.golden.matrix import SETTINGS

#: Points of a percent by which an error may grow before somebody has to say why.
ALLOWED_GROWTH = 0.05
#: Figures of the product: |peak error| in percent.
MEDIAN, P95 = 0.5, 3.0

TRACES, RECORDED = read_traces(), read_recorded()
MODELS = sorted({case.model for case in TRACES})


@pytest.mark.parametrize("model", MODELS)
def test_no_model_gets_worse(model: str) -> None:
    for setting in SETTINGS:
        case = Case(model, *setting)
        if case not in TRACES:
            continue
        before, now = RECORDED[case], error_percent(TRACES[case])
        if isinstance(before, float):
            assert isinstance(now, float), f"{case}: {before:+.3f} % became: {now}"
            assert abs(now) <= abs(before) + ALLOWED_GROWTH, f"{case}: {before:+.3f} % became {now:+.3f} %"


def test_every_trace_has_its_error() -> None:
    assert RECORDED.keys() == TRACES.keys(), f"run: python -m tests.golden.catalogue, and review {ERRORS.name}"


def test_the_catalogue_reaches_the_figures_of_the_product() -> None:
    sizes = sorted(abs(error) for error in RECORDED.values() if isinstance(error, float))
    assert len(sizes) > 400
    assert median(sizes) <= MEDIAN
    assert sizes[int(0.95 * len(sizes))] <= P95
