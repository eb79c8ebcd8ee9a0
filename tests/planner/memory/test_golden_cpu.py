"""The planner against measured training steps: exact where it can be, and never worse than the recorded errors."""

from statistics import median

import pytest

from planner.estimate import estimate
from planner.schema import parse_request
from tests.golden.measured import NAMES, Line, error_percent, plan_of, read_lines, read_table

#: Points of a percent by which a line's error may grow before somebody has to say why.
ALLOWED_GROWTH = 0.05
#: Figures of the product: |peak error| in percent.
MEDIAN, P95, WORST = 0.5, 2.0, 5.0

CPU = read_lines("measured_cpu")
RECORDED = {name: {row.label: row.error_percent for row in read_table(name)} for name in NAMES}


def by_id(line: Line) -> str:
    return "-".join(line.label)


@pytest.mark.parametrize("line", CPU, ids=by_id)
def test_what_does_not_depend_on_the_batch_is_exact(line: Line) -> None:
    plan, measured = estimate(parse_request(line.request)), line.measured
    assert plan.weights_bytes == measured["weights_bytes"]
    assert plan.trainable_params == measured["trainable_params"]
    assert plan.steady_bytes == pytest.approx(measured["steady_bytes"], rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_every_line_has_its_row(name: str) -> None:
    assert list(RECORDED[name]) == [line.label for line in read_lines(name)], "run: python -m tests.golden.refresh"


@pytest.mark.parametrize(
    ("name", "line"), [(n, x) for n in NAMES for x in read_lines(n)], ids=lambda x: getattr(x, "id", x)
)
def test_no_peak_gets_worse(name: str, line: Line) -> None:
    recorded, error = RECORDED[name][line.label], error_percent(line, plan_of(line))
    if recorded is None:
        pytest.skip("refused when the table was written")
    assert error is not None, "the planner answered this line before"
    assert abs(error) <= abs(recorded) + ALLOWED_GROWTH, f"{recorded:+.3f} % became {error:+.3f} %"


def test_peaks_reach_the_figures_of_the_product() -> None:
    plans = [(line, plan_of(line)) for line in CPU]
    assert all(plan is not None for _, plan in plans)
    sizes = sorted(abs(error_percent(line, plan) or 0.0) for line, plan in plans)
    assert median(sizes) <= MEDIAN
    assert sizes[int(0.95 * (len(sizes) - 1))] <= P95
    assert sizes[-1] <= WORST
