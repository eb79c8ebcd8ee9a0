"""Stages of a pipeline, against counts worked out by hand."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.estimate import estimate
from planner.grid import peak_bytes_grid
from planner.schema import PlanRequest, parse_request

H, MLP, V, LAYERS, BATCH, LENGTH = 512, 1280, 1000, 8, 2, 256
LLAMA = {
    "model_type": "llama", "hidden_size": H, "intermediate_size": MLP, "num_hidden_layers": LAYERS,
    "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": V,
}  # fmt: skip
LAYER = 4 * H * H + 3 * H * MLP + 2 * H
ROTARY = 2 * 4 * 32  # inv_freq and original_inv_freq of heads of 64


def asked(stages: int, micro_batches: int, **fields: Any) -> PlanRequest:
    spread = {"num_gpus": stages, "parallelism": {"pipeline_parallel_size": stages, **fields.pop("parallelism", {})}}
    sizes = {"per_device_train_batch_size": BATCH, "max_length": LENGTH, "gradient_accumulation_steps": micro_batches}
    return parse_request({"model": LLAMA, "method": "full", **spread, **sizes, **fields})


def plan(stages: int, micro_batches: int, **fields: Any) -> Plan:
    found = estimate(asked(stages, micro_batches, **fields))
    assert sum(t.bytes for t in found.terms) == found.peak_bytes + found.runtime_bytes
    return found


def test_a_stage_has_its_layers_and_one_end_of_the_model() -> None:
    assert plan(4, 8).weights_bytes == 2 * (2 * LAYER + V * H) + ROTARY  # the first: two layers and the embeddings
    assert plan(4, 1, max_length=8).weights_bytes == 2 * (2 * LAYER + V * H + H) + ROTARY  # the last: norm and head
    assert plan(4, 8).total_params == plan(1, 1).total_params


@pytest.mark.parametrize(("micro_batches", "in_flight"), [(1, 1), (2, 2), (4, 4), (64, 4)])
def test_the_first_stage_holds_a_micro_batch_for_each_stage(micro_batches: int, in_flight: int) -> None:
    few, many = (plan(4, n, gradient_checkpointing=True, max_length=4096) for n in (2, micro_batches))
    inputs = 2 * BATCH * 4096 * H * 2  # checkpoints of two layers
    if micro_batches > 1:  # with one, no gradients of earlier micro-batches are there
        assert many.peak_bytes - few.peak_bytes == (in_flight - 2) * inputs


def test_stages_need_less_than_the_whole() -> None:
    peaks = [plan(stages, 8, per_device_train_batch_size=8).peak_bytes for stages in (1, 2, 4)]
    assert peaks == sorted(peaks, reverse=True)


def test_a_grid_holds_the_same_peaks() -> None:
    grid = peak_bytes_grid(asked(4, 8), [1, 8], [64, 4096])
    for place, (batch, length) in enumerate(((1, 64), (8, 4096))):
        one = asked(4, 8, per_device_train_batch_size=batch, max_length=length)
        assert grid[place] == estimate(one).peak_bytes


def test_what_is_modelled_is_noted() -> None:
    assert any("1F1B" in note for note in plan(4, 8).notes)
