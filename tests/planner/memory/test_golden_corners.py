"""The plan against real steps of settings that few use together (tests/golden/corners.py)."""

import json
from typing import Any

import pytest

from planner.estimate import estimate
from planner.schema import parse_request
from tests.golden.corners import CORNERS, TABLE, request_of

LINES = [json.loads(line) for line in TABLE.read_text().splitlines()]


def test_every_corner_was_measured() -> None:
    assert [line["request"] for line in LINES] == [request_of(name) for name in CORNERS], (
        "run: python -m tests.golden.corners"
    )


@pytest.mark.parametrize("line", LINES, ids=lambda line: line["request"]["id"])
def test_a_corner_is_planned_as_it_was_measured(line: dict[str, Any]) -> None:
    plan, measured = estimate(parse_request(line["request"])), line["measured"]
    assert plan.weights_bytes == measured["weights_bytes"]
    assert plan.trainable_params == measured["trainable_params"]
    assert plan.steady_bytes == pytest.approx(measured["steady_bytes"], rel=1e-4)
    assert plan.peak_bytes == pytest.approx(measured["peak_bytes"], rel=5e-4)
