"""Fitted traces against traces at sizes that no fit has seen, for model_types the planner has no reader for."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.trace_sizes import choose_sizes
from planner.traced import check_fit, peaks
from profiler.fit import Sizes, fit
from profiler.trace import trace
from tests.profiler.recipes import request

pytestmark = pytest.mark.torch

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 500,
}
XGLM = {"model_type": "xglm", "d_model": 64, "ffn_dim": 128, "num_layers": 2, "attention_heads": 4, "vocab_size": 500}
#: Full with eager attention is quadratic in length; one sequence is a case of its own; slices are fitted as wholes are.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[int, int]]] = {
    "persimmon, eager": (
        SMALL | {"model_type": "persimmon"},
        {"method": "full", "attn_implementation": "eager", "gradient_checkpointing": True},
        (7, 150),
    ),
    "xglm, one sequence": (XGLM, {"method": "lora"}, (1, 333)),
    "helium, sliced": (
        SMALL | {"model_type": "helium", "num_key_value_heads": 2, "head_dim": 16, "num_hidden_layers": 8},
        {"method": "qlora"},
        (4, 77),
    ),
}


@pytest.mark.parametrize(("config", "fields", "size"), CASES.values(), ids=CASES.keys())
def test_a_fit_equals_a_trace_at_any_size(
    config: dict[str, Any], fields: dict[str, Any], size: tuple[int, int]
) -> None:
    ask = request(config, per_device_train_batch_size=size[0], max_length=size[1], **fields)
    chosen = choose_sizes(ask, config)
    fitted = fit(ask, Sizes(chosen.batches, chosen.lengths, chosen.held_out))
    check_fit(fitted, chosen)
    traced, found = trace(ask), {peak.phase: peak for peak in peaks(fitted, chosen, *size)}
    assert max(peak.total for peak in found.values()) == traced.peak_bytes
    assert found["loaded"].total == traced.weights_bytes
    assert found["between_steps"].total == traced.steady_bytes
    assert {phase: sum(live.values()) for phase, live in traced.timeline.items()} == {
        phase: peak.total for phase, peak in found.items()
    }
    assert fitted["trainable_params"] == traced.trainable_params
