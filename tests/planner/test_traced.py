"""Plans made of fitted traces, on fits written by hand."""

from typing import Any

import pytest

from planner.answer import CATEGORIES
from planner.errors import RequestError
from planner.memory.runtime import CONTEXT_BYTES, CUBLAS_WORKSPACE_BYTES
from planner.schema import PlanRequest, parse_request
from planner.trace_sizes import Sizes
from planner.traced import _formula, check_fit, peaks, traced_plan

SIZES = Sizes((2, 3), (64, 128, 192), (5, 320))
TENSORS = CATEGORIES[:-1]
WEIGHTS, STATES, SCORES, TOKENS = 1000, 300, 3, 7


def place(constants: dict[str, int], tokens: int = 0, scores: int = 0) -> list[list[int]]:
    """Coefficients of constants + tokens x B x S + scores x B x S^2 in steps of the grid: B = b + 1, S = 64 t."""
    row = {power: dict.fromkeys(TENSORS, 0) for power in ("1", "t", "t2", "b", "bt", "bt2")}
    row["1"] |= {name: 2 * value for name, value in constants.items()}
    for power in ("t", "bt"):
        row[power]["activations"] = 2 * tokens * 64
    for power in ("t2", "bt2"):
        row[power]["activations"] = 2 * scores * 64**2
    return [list(values.values()) for values in row.values()]


def fit(**held_out: int) -> dict[str, Any]:
    states = {"weights": WEIGHTS, "optimizer": STATES}
    by_place = [
        place(states, TOKENS, SCORES),
        place(states | {"gradients": 10**6}),
    ]
    return {
        "categories": list(TENSORS),
        "phases": {
            "loaded": [place({"weights": WEIGHTS})],
            "backward_layers": by_place,
            "between_steps": [place(states)],
        },
        "held_out": {"size": [5, 320], "phases": held_out},
        "notes": ["said by the trace"], "versions": {"torch": "2"},
        "base_params": 500, "trainable_params": 500, "total_params": 500, "trained_bytes": 1000,
    }  # fmt: skip


def request(**fields: Any) -> PlanRequest:
    return parse_request({"model": {"model_type": "alien"}, "method": "full", "device": "cpu"} | fields)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 64), (7, 1000), (4, 333)])
def test_the_peak_is_the_highest_place_at_the_size(batch: int, length: int) -> None:
    expected = max(TOKENS * batch * length + SCORES * batch * length**2, 10**6) + WEIGHTS + STATES
    ask = request(per_device_train_batch_size=batch, max_length=length)
    plan = traced_plan(ask, "alien", "alien", fit(), SIZES, ["said by the cache"])
    assert plan.peak_bytes == plan.device_bytes == expected
    assert plan.peak_phase == "backward_layers" and plan.certainty == "traced"
    assert plan.weights_bytes == WEIGHTS and plan.steady_bytes == WEIGHTS + STATES
    assert sum(term.bytes for term in plan.terms) == plan.peak_bytes
    assert "traced, not planned" in plan.notes[0]
    assert plan.notes[1:] == ("said by the trace", "said by the cache")


def test_on_a_card_the_context_and_the_workspaces_are_added() -> None:
    plan = traced_plan(request(device="cuda", gpu="h100-sxm5-80gb"), "alien", "alien", fit(), SIZES, [])
    on_cpu = traced_plan(request(), "alien", "alien", fit(), SIZES, [])
    assert plan.peak_bytes - on_cpu.peak_bytes >= CUBLAS_WORKSPACE_BYTES
    assert plan.runtime_bytes == CONTEXT_BYTES and plan.verdict == "fits"
    assert sum(getattr(plan, f"{c}_bytes") for c in CATEGORIES) == plan.peak_bytes + plan.runtime_bytes
    assert sum(term.bytes for term in plan.terms) == plan.peak_bytes + plan.runtime_bytes


def test_the_formula_is_in_batch_and_length() -> None:
    coefficients = [row[TENSORS.index("activations")] for row in place({"activations": 5}, TOKENS, SCORES)]
    assert _formula(coefficients, SIZES) == "5 + 7 x B x S + 3 x B x S^2"
    past_a_window = Sizes((1,), (612, 712, 812), (1, 1012))  # S = 512 + 100 t
    assert _formula([0, 2 * 100, 0], past_a_window) == "-512 + 1 x S"


def test_a_fit_that_the_held_out_trace_contradicts_is_refused() -> None:
    steady, top = WEIGHTS + STATES, TOKENS * 5 * 320 + SCORES * 5 * 320**2 + WEIGHTS + STATES
    good = {"loaded": WEIGHTS, "backward_layers": top, "between_steps": steady}
    check_fit(fit(**good), SIZES)
    with pytest.raises(RequestError, match=r"no polynomial of batch and length.*backward_layers"):
        check_fit(fit(**good | {"backward_layers": round(top * 1.01)}), SIZES)


def test_each_phase_has_its_highest_place() -> None:
    found = {peak.phase: peak.total for peak in peaks(fit(), SIZES, 2, 64)}
    assert found == {"loaded": WEIGHTS, "backward_layers": 10**6 + 1300, "between_steps": 1300}
