"""The course of a step, layer by layer: in each phase its highest moment is the plan's own."""

from typing import Any

import pytest

from planner.course import course
from planner.estimate import estimate
from planner.schema import parse_request

REQUESTS: dict[str, dict[str, Any]] = {
    "lora": {"method": "lora"},
    "checkpointed": {"method": "lora", "gradient_checkpointing": True},
    "full": {"method": "full"},
    "accumulated": {"method": "full", "gradient_accumulation_steps": 4},
    "qlora": {"method": "qlora", "gradient_checkpointing": True, "per_device_train_batch_size": 3},
    "sharded": {"method": "full", "num_gpus": 4, "parallelism": {"strategy": "fsdp"}, "gradient_checkpointing": True},
    "zero3": {"method": "lora", "num_gpus": 2, "parallelism": {"strategy": "zero3"}},
    "offloaded": {"method": "lora", "parallelism": {"activation_offloading": True}, "gradient_checkpointing": True},
    "prompts": {"method": "prefix_tuning"},
}
MODELS = ("meta-llama/Llama-3.2-1B", "openai-community/gpt2", "google/gemma-2-2b", "google-t5/t5-small")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
def test_the_highest_moment_of_each_phase_is_the_plan_s(asked: dict[str, Any], model: str) -> None:
    request = parse_request({"model": model, "gpu": "rtx-4090", "max_length": 256, **asked})
    plan = estimate(request)
    highest: dict[str, int] = {}
    for moment in course(request):
        assert sum(moment.live_bytes.values()) == moment.total_bytes
        highest[moment.phase] = max(highest.get(moment.phase, 0), moment.total_bytes)
    assert highest == {moment.phase: moment.total_bytes for moment in plan.timeline}


def test_every_layer_has_a_moment_in_each_pass() -> None:
    request = parse_request({"model": "meta-llama/Llama-3.2-1B", "method": "lora", "gpu": "rtx-4090"})
    phases = [moment.phase for moment in course(request)]
    assert phases.count("backward_layers") == 16
    assert phases.count("forward") == 16 + 2  # the embedding and the head
    assert [phases[0], *phases[-2:]] == ["loaded", "optimizer_step", "between_steps"]


def test_pipeline_stages_have_the_plan_s_moments() -> None:
    parallel = {"pipeline_parallel_size": 2}
    asked = {"model": "meta-llama/Llama-3.1-8B", "method": "full", "gpu": "h100-sxm", "num_gpus": 2}
    request = parse_request({**asked, "parallelism": parallel})
    assert course(request) == estimate(request).timeline
