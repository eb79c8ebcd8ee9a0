"""Plan, trace and measurement side by side, and the words on their differences."""

from typing import Any

from planner.estimate import estimate
from planner.report_profile import side_by_side_report
from planner.side_by_side import side_by_side
from tests.planner.runs.samples import request

PLAN = estimate(request())


def answer(off: int = 0, **changes: Any) -> dict[str, Any]:
    """The plan's own figures as another level would give them, activations off by some bytes."""
    live = {
        name: getattr(PLAN, f"{name}_bytes") for name in ("weights", "gradients", "optimizer", "logits", "workspace")
    }
    live["activations"] = PLAN.activations_bytes + off
    figures = {name: getattr(PLAN, name) for name in ("weights_bytes", "steady_bytes", "trainable_params")}
    timeline = [{"phase": r.phase, "total_bytes": r.total_bytes, "live_bytes": {}} for r in PLAN.timeline]
    rest = {"level": "profile", "live_bytes": live, "timeline": timeline, "hardware": {"device": "cpu"}}
    return figures | {"peak_bytes": PLAN.peak_bytes + off} | rest | changes


def test_levels_that_agree_say_so() -> None:
    levels = side_by_side(PLAN, answer(level="trace"), answer())
    peak = next(row for row in levels.figures if row.name == "peak_bytes")
    assert (peak.plan_ratio, peak.trace_ratio) == (1, 1)
    assert levels.explanations == ("plan and measurement agree to the byte at the peak",)


def test_a_difference_is_placed() -> None:
    levels = side_by_side(PLAN, answer(level="trace"), answer(off=1000))
    assert levels.explanations[0].startswith("the plan's peak is -1,000 bytes")
    assert "activations -1,000" in levels.explanations[0]
    assert "the trace's peak is -1,000 bytes off" in levels.explanations[1]


def test_what_the_machine_used_besides_is_explained() -> None:
    seen = answer(
        allocator_peak_bytes=PLAN.peak_bytes + 512,
        reserved_bytes=(PLAN.peak_bytes + 512) * 2,
        peak_rss_bytes=500 * 2**20,
        base_rss_bytes=400 * 2**20,
    )
    said = side_by_side(PLAN, None, seen).explanations
    assert "the allocator counted +512 bytes" in said[1]
    assert "it reserved +100.0% over that" in said[2]
    assert "0.39 GiB before the model" in said[3]


def test_a_missing_trace_leaves_its_column_empty() -> None:
    table = side_by_side_report(side_by_side(PLAN, None, answer()))[0]
    assert {row[2] for row in table.rows} == {""}
