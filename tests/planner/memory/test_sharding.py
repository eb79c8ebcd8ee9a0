"""Shares and buffers of several devices, against counts worked out by hand."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.estimate import estimate
from planner.grid import peak_bytes_grid
from planner.schema import parse_request

H, MLP, V, KV, LAYERS = 512, 1280, 100_000, 256, 8
MODEL = {
    "model_type": "llama", "hidden_size": H, "intermediate_size": MLP, "num_hidden_layers": LAYERS,
    "num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": V,
}  # fmt: skip
LAYER = 2 * H * H + 2 * H * KV + 3 * H * MLP + 2 * H
ROOT = 2 * V * H + H
PARAMS = LAYERS * LAYER + ROOT
BUCKET = 2 * 500_000_000
STRATEGIES = ("ddp", "zero1", "zero2", "zero3", "fsdp")


def plan(strategy: str, num_gpus: int = 4, method: str = "full", num_nodes: int = 1, **fields: Any) -> Plan:
    offloads = {name: fields.pop(name) for name in tuple(fields) if name.startswith("offload")}
    spread = {"num_gpus": num_gpus, "num_nodes": num_nodes, "parallelism": {"strategy": strategy, **offloads}}
    return estimate(parse_request({"model": MODEL, "method": method, **{"max_length": 64}, **spread, **fields}))


def term(plan: Plan, name: str) -> int:
    return sum(t.bytes for t in plan.terms if t.name == name)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_terms_sum_to_the_peak_and_the_categories(strategy: str, method: str) -> None:
    found = plan(strategy, method=method)
    assert sum(t.bytes for t in found.terms) == found.peak_bytes + found.runtime_bytes


@pytest.mark.parametrize("strategy", ["none", *STRATEGIES])
def test_a_grid_holds_the_same_peaks(strategy: str) -> None:
    num_gpus = 1 if strategy == "none" else 4
    fields: dict[str, Any] = {"model": MODEL, "method": "full", "num_gpus": num_gpus}
    request = parse_request({**fields, "parallelism": {"strategy": strategy}})
    grid = peak_bytes_grid(request, [[1], [8]], [[64, 4096]])
    for row, batch in enumerate((1, 8)):
        for column, length in enumerate((64, 4096)):
            one = request.model_copy(update={"per_device_train_batch_size": batch, "max_length": length})
            assert grid[row, column] == estimate(one).peak_bytes


def test_fsdp_gathers_the_root_and_two_layers() -> None:
    found = plan("fsdp", optim="sgd", per_device_train_batch_size=64)
    assert found.peak_phase == "backward_head"
    assert term(found, "gathered embeddings and head") == 2 * ROOT
    assert term(found, "gathered layer") == 2 * LAYER
    assert found.weights_bytes == pytest.approx(2 * PARAMS / 4, rel=1e-4)


def test_fsdp_in_mixed_precision_keeps_sixteen_bytes_a_parameter_and_gathers_two() -> None:
    found = plan("fsdp", dtype="float32", mixed_precision="bf16", optim="adamw_torch")
    step = next(moment for moment in found.timeline if moment.phase == "optimizer_step")
    cublas, batch = 4096 * 1024 * 2 + 16 * 1024 * 8, 2 * 8 * 64
    held = step.total_bytes - found.runtime_bytes - cublas - batch
    assert held == pytest.approx(20 * PARAMS / 4, rel=1e-4)


def test_hsdp_shards_within_a_node() -> None:
    within, all_of_them = plan("hsdp", 16, num_nodes=4), plan("fsdp", 4)
    assert within.peak_bytes == all_of_them.peak_bytes


def test_zero_1_and_2_keep_float32_masters_in_parts() -> None:
    for strategy in ("zero1", "zero2"):
        found = plan(strategy)
        assert term(found, "float32 master weights") == 4 * -(-PARAMS // 4)
        assert found.weights_bytes == pytest.approx(2 * PARAMS, rel=1e-4)
        assert term(found, "reduce bucket") == BUCKET


def test_zero_3_keeps_everything_in_parts_but_small_tensors() -> None:
    found = plan("zero3")
    norms = (2 * LAYERS + 1) * H
    assert found.weights_bytes == pytest.approx(2 * ((PARAMS - norms) / 4 + norms), rel=1e-4)
    assert term(found, "gathered parameters") == 2 * (PARAMS - norms)
    assert term(found, "reduce bucket") == BUCKET


def test_each_stage_needs_less_than_the_one_before() -> None:
    steady = [plan(s, 8, optim="adamw_torch_fused").steady_bytes for s in ("ddp", "zero1")]
    assert steady[1] < steady[0] + 4 * PARAMS  # masters are float32, and sharded
    weights = [plan(s, 8).weights_bytes for s in ("zero2", "zero3")]
    assert weights[1] < weights[0] / 7


@pytest.mark.parametrize("strategy", ["zero2", "zero3", "fsdp"])
def test_what_is_offloaded_is_in_the_hosts_memory(strategy: str) -> None:
    params = strategy != "zero2"
    here, there = plan(strategy), plan(strategy, offload_optimizer=True, offload_params=params)
    assert there.optimizer_bytes == 0
    assert there.peak_bytes < here.peak_bytes
    states = (8 if strategy == "zero2" else 4 if strategy == "fsdp" else 8) * PARAMS
    assert there.host_bytes - here.host_bytes >= states
    if params:
        assert there.weights_bytes < 0.02 * here.weights_bytes


def test_many_devices_hold_at_least_a_row_of_each_tensor() -> None:
    found = plan("fsdp", 64, method="lora", lora={"r": 16})
    adapters = sum(16 * i + 16 * o for i, o in ((H, H), (H, KV), (H, KV), (H, H), (H, MLP), (H, MLP), (MLP, H)))
    rows_of_a = (6 * H + MLP) * LAYERS  # one of sixteen rows, on the first sixteen devices
    assert term(found, "adapters (float32)") > 4 * adapters * LAYERS / 64
    assert term(found, "adapters (float32)") == 4 * (rows_of_a + 16 * (4 * H + 2 * KV + 2 * MLP - H) * LAYERS / 64)


def test_flat_fsdp_keeps_hidden_states_and_gradients_of_reentrant_checkpoints() -> None:
    """A published run of Llama-3-8B: 2 x B x S x hidden x 2 bytes for each of the layers that are done but two."""
    fields: dict[str, Any] = {"method": "lora", "gradient_checkpointing": True, "per_device_train_batch_size": 8}
    fields |= {"optim": "adamw_torch", "loss": "fused", "max_length": 4096}
    reentrant = {"gradient_checkpointing_kwargs": {"use_reentrant": True}}
    flat, rows = (plan("fsdp", stack=stack, **fields, **reentrant) for stack in ("transformers@4.45", "transformers@5"))
    kept = term(flat, "hidden states held by FSDP's hooks")
    one = 2 * 8 * 4096 * H * 2
    assert kept % one == 0 and kept // one in (LAYERS - 2, LAYERS - 1)
    assert term(rows, "hidden states held by FSDP's hooks") == 0


def test_gradients_stay_whole_until_the_last_micro_batch() -> None:
    """accelerate's no_sync: FSDP reduces at once, so that what waits is as large as on one device."""
    once, many = (plan("fsdp", gradient_accumulation_steps=steps, per_device_train_batch_size=64) for steps in (1, 8))
    assert (once.gradients_bytes, many.gradients_bytes) != (0, 0)
    assert many.peak_bytes - once.peak_bytes > 2 * PARAMS * 3 // 4 - 2 * ROOT
    sums = [sum(t.bytes for t in found.terms) for found in (once, many)]
    assert sums == [found.peak_bytes + found.runtime_bytes for found in (once, many)]


def test_a_flat_parameter_of_a_whole_block_has_a_gradient_as_wide() -> None:
    """LitGPT's published runs on 2 and 4 devices hold a copy of the blocks' weights as gradients."""
    lora: dict[str, Any] = {"method": "lora", "gradient_accumulation_steps": 8, "lora": {"r": 8}}
    blocks, apart = (plan("fsdp", stack=stack, **lora) for stack in ("litgpt@0.4", "transformers@4.45"))
    held = next(m.live_bytes["gradients"] for m in blocks.timeline if m.phase == "forward")
    assert held > 2 * LAYER * LAYERS
    assert next(m.live_bytes["gradients"] for m in apart.timeline if m.phase == "forward") < LAYER


def test_flat_gradients_go_in_the_next_forward() -> None:
    """A published run: 16 bytes a parameter between steps, where weights and states are 12."""
    fields: dict[str, Any] = {"dtype": "float32", "mixed_precision": "bf16", "optim": "adamw_torch"}
    flat, rows = (plan("fsdp", stack=stack, **fields) for stack in ("transformers@4.45", "transformers@5"))
    assert flat.steady_bytes - rows.steady_bytes == pytest.approx(4 * PARAMS / 4, rel=1e-3)
    assert flat.peak_bytes == rows.peak_bytes


def test_torchtune_gathers_head_and_embeddings_for_their_own_use() -> None:
    units, root = (
        plan("fsdp", stack=stack, optim="sgd", loss="full", mixed_precision="no")
        for stack in ("torchtune", "transformers")
    )
    within, whole = ({m.phase: m.live_bytes["workspace"] for m in found.timeline} for found in (units, root))
    assert whole["forward"] - within["forward"] == pytest.approx(2 * ROOT, rel=0.01)
    assert term(units, "gathered embeddings and head") == 0
