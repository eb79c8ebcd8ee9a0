"""Tensor, context and expert parallel and offloaded activations, against counts worked out by hand."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.estimate import estimate
from planner.grid import peak_bytes_grid
from planner.schema import PlanRequest, parse_request

H, MLP, V, HEADS, KV_HEADS, D, LAYERS = 512, 1280, 10_000, 8, 4, 64, 6
LLAMA = {
    "model_type": "llama", "hidden_size": H, "intermediate_size": MLP, "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": V,
}  # fmt: skip
MIXTRAL = LLAMA | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
MATRICES = LAYERS * (2 * H * H + 2 * H * KV_HEADS * D + 3 * H * MLP) + 2 * V * H
NORMS = (2 * LAYERS + 1) * H
ROTARY = 2 * 4 * D // 2  # inv_freq and original_inv_freq


def asked(model: dict[str, Any] = LLAMA, num_gpus: int = 1, method: str = "full", **parallelism: Any) -> PlanRequest:
    fields = {name: parallelism.pop(name) for name in ("max_length", "gradient_checkpointing") if name in parallelism}
    sizes: dict[str, Any] = {"max_length": 1024, "per_device_train_batch_size": 4, "num_gpus": num_gpus}
    return parse_request({"model": model, "method": method, "parallelism": parallelism, **(sizes | fields)})


def plan(model: dict[str, Any] = LLAMA, num_gpus: int = 1, method: str = "full", **parallelism: Any) -> Plan:
    found = estimate(asked(model, num_gpus, method, **parallelism))
    assert sum(t.bytes for t in found.terms) == found.peak_bytes + found.runtime_bytes
    return found


def test_tensor_parallel_divides_matrices_and_not_norms() -> None:
    assert plan().weights_bytes == 2 * (MATRICES + NORMS) + ROTARY
    assert plan(num_gpus=4, tensor_parallel_size=4).weights_bytes == 2 * (MATRICES // 4 + NORMS) + ROTARY


def test_tensor_parallel_divides_activations_and_logits() -> None:
    whole, half = plan(), plan(num_gpus=2, tensor_parallel_size=2)
    assert half.activations_bytes == pytest.approx(whole.activations_bytes / 2, rel=0.02)
    assert half.logits_bytes == pytest.approx(whole.logits_bytes / 2, rel=0.001)


def test_adapters_are_divided_where_they_meet_a_divided_width() -> None:
    parts = plan(num_gpus=2, method="lora", tensor_parallel_size=2)
    by_columns = ((H, H), (H, KV_HEADS * D), (H, KV_HEADS * D), (H, MLP), (H, MLP))
    by_rows = ((H, H), (MLP, H))
    elements = sum(16 * i + 16 * o // 2 for i, o in by_columns) + sum(16 * i // 2 + 16 * o for i, o in by_rows)
    adapters = sum(t.bytes for t in parts.terms if t.name == "adapters (float32)")
    assert adapters == 4 * LAYERS * elements


def forward_bytes(found: Plan) -> int:
    """Tensor bytes of the forward's largest moment."""
    moment = next(m for m in found.timeline if m.phase == "forward")
    return moment.total_bytes - found.runtime_bytes


def test_context_parallel_is_a_shorter_sequence_and_all_keys_and_values() -> None:
    pieces = plan(num_gpus=2, context_parallel_size=2)
    short = plan(max_length=512)
    assert pieces.logits_bytes == short.logits_bytes
    assert pieces.activations_bytes == short.activations_bytes
    checkpointed = plan(num_gpus=2, context_parallel_size=2, gradient_checkpointing=True, max_length=8192)
    alone = plan(gradient_checkpointing=True, max_length=4096)
    assert forward_bytes(checkpointed) - forward_bytes(alone) == 2 * 2 * 4 * 8192 * KV_HEADS * D


def test_experts_are_divided_and_the_rest_is_copied() -> None:
    experts = LAYERS * 8 * 3 * H * MLP
    whole = plan(MIXTRAL, 4, strategy="ddp").weights_bytes
    parts = plan(MIXTRAL, 4, strategy="ddp", expert_parallel_size=4).weights_bytes
    assert whole - parts == 2 * experts * 3 // 4


def test_fully_sharded_experts_are_gathered_in_part() -> None:
    whole, parts = (plan(MIXTRAL, 4, strategy="fsdp", expert_parallel_size=n) for n in (1, 4))
    assert parts.weights_bytes == whole.weights_bytes
    assert parts.peak_bytes < whole.peak_bytes


@pytest.mark.parametrize("checkpointing", [False, True])
def test_offloaded_activations_are_in_the_hosts_memory(checkpointing: bool) -> None:
    here = plan(gradient_checkpointing=checkpointing)
    there = plan(gradient_checkpointing=checkpointing, activation_offloading=True)
    inputs = LAYERS * 4 * 1024 * H * 2
    moved = there.host_bytes - here.host_bytes
    assert moved == inputs if checkpointing else moved > 10 * inputs
    assert there.peak_bytes < here.peak_bytes


@pytest.mark.parametrize(
    "spread",
    [
        {"num_gpus": 2, "tensor_parallel_size": 2},
        {"num_gpus": 4, "context_parallel_size": 2, "strategy": "fsdp"},
        {"activation_offloading": True},
    ],
    ids=str,
)
def test_a_grid_holds_the_same_peaks(spread: dict[str, Any]) -> None:
    request = asked(**spread)
    grid = peak_bytes_grid(request, [1, 8], [64, 4096])
    for place, (batch, length) in enumerate(((1, 64), (8, 4096))):
        one = request.model_copy(update={"per_device_train_batch_size": batch, "max_length": length})
        assert grid[place] == estimate(one).peak_bytes
