"""Combinations that no library has, each refused by the field that has to change."""

from typing import Any

import pytest

from planner.advise import apply_changes
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.resolve import check, load_model
from planner.schema import parse_request

LLAMA = "llama-3.1-8b"  # 32 layers, 32 heads, 8 key and value heads
FULL: dict[str, Any] = {"model": LLAMA, "method": "full"}


def refused(num_gpus: int, parallelism: dict[str, Any], **fields: Any) -> PlannerError:
    """The error of a spread request."""
    with pytest.raises(PlannerError) as found:
        request = parse_request({**FULL, "num_gpus": num_gpus, "parallelism": parallelism, **fields})
        check(request, load_model(request).architecture)
    return found.value


def accepted(num_gpus: int, parallelism: dict[str, Any], **fields: Any) -> None:
    parse_request({**FULL, "num_gpus": num_gpus, "parallelism": parallelism, **fields})


@pytest.mark.parametrize(
    ("num_gpus", "parallelism", "fields", "field", "fragment"),
    [
        (1, {}, {"num_nodes": 2}, "num_nodes", "multiple of num_nodes"),
        (6, {"strategy": "fsdp"}, {"num_nodes": 4}, "num_nodes", "use num_gpus 8"),
        (2, {}, {}, "num_gpus", "name a strategy"),
        (6, {"tensor_parallel_size": 4, "strategy": "fsdp"}, {}, "num_gpus", "multiple of 4"),
        (4, {"tensor_parallel_size": 4, "strategy": "fsdp"}, {}, "parallelism.strategy", "at least two"),
        (1, {"strategy": "ddp"}, {}, "parallelism.strategy", "also run on one"),
        (8, {"strategy": "hsdp"}, {}, "parallelism.strategy", "num_nodes of at least 2"),
        (4, {"strategy": "hsdp"}, {"num_nodes": 4}, "parallelism.strategy", "two data-parallel devices in each"),
        (8, {"strategy": "zero3", "pipeline_parallel_size": 2}, {}, "parallelism.pipeline_parallel_size", "zero1"),
        (8, {"strategy": "zero2", "context_parallel_size": 2}, {}, "parallelism.context_parallel_size", "use fsdp"),
        (2, {"strategy": "ddp", "offload_params": True}, {}, "parallelism.offload_params", "sharded"),
        (2, {"strategy": "fsdp", "offload_optimizer": True}, {}, "parallelism.offload_optimizer", "set offload_params"),
        (2, {"strategy": "zero2", "offload_optimizer": True}, {"optim": "adamw_bnb_8bit"}, "optim", "adamw_torch"),
        (2, {"strategy": "fsdp", "offload_params": True}, {"device": "cpu"}, "parallelism.offload_params", "'cpu'"),
        (2, {"tensor_parallel_size": 2}, {"method": "qlora"}, "parallelism.tensor_parallel_size", "qlora"),
        (2, {"context_parallel_size": 2}, {"max_length": 1026}, "max_length", "multiple of 4"),
        (2, {"context_parallel_size": 2}, {"padding": "padded"}, "parallelism.context_parallel_size", "no mask"),
        (16, {"tensor_parallel_size": 16}, {}, "parallelism.tensor_parallel_size", "8 key and value heads"),
        (64, {"pipeline_parallel_size": 64}, {}, "parallelism.pipeline_parallel_size", "only 32 layers"),
        (2, {"strategy": "fsdp", "expert_parallel_size": 2}, {}, "parallelism.expert_parallel_size", "no experts"),
        (
            6,
            {"strategy": "fsdp", "expert_parallel_size": 6},
            {"model": "mixtral-8x7b-v0.1"},
            "parallelism.expert_parallel_size",
            "divide the 8 experts",
        ),
        (
            8,
            {"strategy": "fsdp", "expert_parallel_size": 16},
            {"model": "mixtral-8x7b-v0.1"},
            "parallelism.expert_parallel_size",
            "the 8 devices",
        ),
        (
            8,
            {"strategy": "zero1", "expert_parallel_size": 2, "tensor_parallel_size": 2},
            {"model": "mixtral-8x7b-v0.1"},
            "parallelism.expert_parallel_size",
            "AutoEP",
        ),
        (
            2,
            {"pipeline_parallel_size": 2},
            {"model": "llama-3.2-1b"},
            "parallelism.pipeline_parallel_size",
            "tied",
        ),
    ],
)
def test_what_no_library_does_is_refused(
    num_gpus: int, parallelism: dict[str, Any], fields: dict[str, Any], field: str, fragment: str
) -> None:
    error = refused(num_gpus, parallelism, **fields)
    assert error.field == field
    assert error.message.startswith(field) and fragment in error.message and "\n" not in error.message


@pytest.mark.parametrize(
    ("num_gpus", "parallelism", "fields"),
    [
        (1, {"strategy": "zero3"}, {}),
        (16, {"strategy": "hsdp"}, {"num_nodes": 2}),
        (2, {"tensor_parallel_size": 2}, {}),
        (8, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2, "strategy": "zero1"}, {}),
        (2, {"context_parallel_size": 2, "strategy": "fsdp"}, {}),
        (8, {"strategy": "fsdp", "expert_parallel_size": 8}, {"model": "mixtral-8x7b-v0.1"}),
    ],
)
def test_what_libraries_do_is_accepted(num_gpus: int, parallelism: dict[str, Any], fields: dict[str, Any]) -> None:
    accepted(num_gpus, parallelism, **fields)


def test_machines_that_are_left_open_hold_at_most_eight_cards_each() -> None:
    """And follow where the number of cards changes; what is said stays."""
    asked = {"model": "gpt2", "method": "lora", "parallelism": {"strategy": "ddp"}}
    nodes = {count: parse_request({**asked, "num_gpus": count}).num_nodes for count in (2, 8, 12, 16, 64)}
    assert nodes == {2: 1, 8: 1, 12: 2, 16: 2, 64: 8}
    open_request = parse_request({**asked, "num_gpus": 16})
    assert apply_changes(open_request, {"num_gpus": 8}).num_nodes == 1
    assert any("2 machines of 8 cards" in note for note in estimate(open_request).notes)
    said = parse_request({**asked, "num_gpus": 16, "num_nodes": 1})
    assert said.num_nodes == 1 and apply_changes(said, {"num_gpus": 8}).num_nodes == 1
    assert not any("num_nodes is left open" in note for note in estimate(said).notes)
    cards_in_a_row = {"strategy": "device_map"}
    assert parse_request({**asked, "num_gpus": 16, "parallelism": cards_in_a_row}).num_nodes == 1
