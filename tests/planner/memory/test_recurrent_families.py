"""Layers that mix tokens by a recurrence: what one keeps, by hand, and plans against real steps on the CPU."""

from typing import Any

import pytest

from planner.architecture.read import read_architecture
from planner.estimate import estimate
from planner.memory.inventory import resolve_setup
from planner.memory.layout import build_step
from planner.schema import PlanRequest, parse_request
from tests.installed import installed_stack

BATCH, LENGTH, HIDDEN, WIDE, HEAD_DIM = 2, 150, 64, 96, 16
TOKENS = BATCH * LENGTH
KEY_HEADS, VALUE_HEADS, K_DIM, V_DIM, CHUNK = 2, 4, 8, 12, 64
TEXT: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": HEAD_DIM,
}
DELTA: dict[str, Any] = {
    "linear_num_key_heads": KEY_HEADS,
    "linear_num_value_heads": VALUE_HEADS,
    "linear_key_head_dim": K_DIM,
    "linear_value_head_dim": V_DIM,
    "linear_conv_kernel_dim": 4,
}
EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 40,
}
EYE = {
    "depth": 2,
    "num_heads": 2,
    "patch_size": 8,
    "out_hidden_size": HIDDEN,
    "hidden_size": 32,
    "intermediate_size": 64,
}

MODELS: dict[str, dict[str, Any]] = {
    "qwen3_next": {**TEXT, **DELTA, **EXPERTS},
    "qwen3_5": {"text_config": {**TEXT, **DELTA}, "vision_config": EYE},
    "mamba": {"vocab_size": 300, "hidden_size": HIDDEN, "num_hidden_layers": 3, "state_size": 8, "time_step_rank": 6},
    "jamba": {
        **TEXT,
        **{"num_experts": 4, "num_experts_per_tok": 2, "attn_layer_period": 4, "attn_layer_offset": 2},
        **{"expert_layer_period": 2, "expert_layer_offset": 1, "mamba_d_state": 8, "mamba_dt_rank": 6},
    },
    "nemotron_h": {
        **{**TEXT, "vocab_size": 40},
        **{"layers_block_type": ["linear_attention", "moe", "full_attention", "mlp", "linear_attention"]},
        **{"mamba_num_heads": 8, "mamba_head_dim": 12, "ssm_state_size": 8, "n_groups": 2, "chunk_size": 32},
        **{"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
        "moe_shared_expert_intermediate_size": 40,
    },
    "qwen3_5_moe": {"text_config": {**TEXT, **DELTA, **EXPERTS}, "vision_config": EYE},
}


def request(
    model_type: str, method: str = "full", config: dict[str, Any] | None = None, **settings: Any
) -> PlanRequest:
    model = {"model_type": model_type, **MODELS[model_type], **(config or {})}
    fields = {"per_device_train_batch_size": BATCH, "max_length": LENGTH, "device": "cpu"}
    fields |= {"stack": installed_stack(), **settings}
    return parse_request({"model": model, "method": method, **fields})


def kept_bytes(asked: PlanRequest) -> int:
    """Bytes that a layer in the middle keeps."""
    architecture = read_architecture(asked.model)  # type: ignore[arg-type]
    batch, length = asked.per_device_train_batch_size, asked.max_length
    step = build_step(asked, architecture, resolve_setup(asked, architecture), batch, length)
    return int(step.layers[1].kept)


def test_a_gated_delta_net_keeps_its_chunks_in_float32() -> None:
    padded = -(-LENGTH // CHUNK) * CHUNK
    heads, rows, long = BATCH * VALUE_HEADS, BATCH * VALUE_HEADS * LENGTH, BATCH * VALUE_HEADS * padded
    chunks = padded // CHUNK
    width = 2 * KEY_HEADS * K_DIM + VALUE_HEADS * V_DIM
    # offset norms: float32 input and normalized input, 1/rms a token, 1 + weight
    norms = 2 * (2 * TOKENS * HIDDEN * 4 + TOKENS * 4 + HIDDEN * 4)
    mlp = 2 * TOKENS * (HIDDEN + 4 * WIDE)
    # the input; q, k and v joined, and convolved (three positions more)
    inputs = 2 * (TOKENS * HIDDEN + TOKENS * width + BATCH * (LENGTH + 3) * width)
    # sigmoid in 16 bits; softplus and its input in float32; exp(A_log) and its negative
    gates = rows * (2 + 4 + 4) + 2 * VALUE_HEADS * 4
    l2norm = 2 * rows * (K_DIM + 1) * 4
    # k_dim: query, key, k*beta, decayed query and key, solved keys; v_dim: value, new values, and less what is known;
    # four numbers a token: beta, exp of the decay twice, and of that to the end of the chunk
    per_token = 4 * long * (6 * K_DIM + 3 * V_DIM + 4)
    # decay, k*beta @ k, q @ k, and both products with the decay
    pairs = 5 * heads * chunks * CHUNK * CHUNK * 4 + CHUNK * CHUNK
    states = heads * chunks * (K_DIM * V_DIM + 1) * 4
    # float32: the rule's output, the gate and its silu, 1/rms; 16 bits: normalized, scaled, gated
    gated_norm = rows * (V_DIM * (3 * 4 + 3 * 2) + 4)
    mixer = gates + l2norm + per_token + pairs + states + gated_norm
    assert kept_bytes(request("qwen3_5")) == norms + mlp + inputs + mixer


CASES = [
    ("qwen3_next", "full", {}),
    ("qwen3_next", "lora", {"gradient_checkpointing": True}),
    ("qwen3_5", "full", {"gradient_checkpointing": True}),
    ("qwen3_5", "qlora", {}),
    ("qwen3_5", "qlora", {"max_length": 192}),
    ("qwen3_5", "lora", {"max_length": 40}),
    ("qwen3_5_moe", "full", {"padding": "padded"}),
    ("qwen3_5_moe", "qlora", {"gradient_checkpointing": True, "attn_implementation": "eager"}),
]


@pytest.mark.torch
@pytest.mark.parametrize(("model_type", "method", "settings"), CASES, ids=lambda x: x if isinstance(x, str) else "")
def test_a_plan_equals_real_steps(model_type: str, method: str, settings: dict[str, Any]) -> None:
    pytest.importorskip("torch", reason="needs the extra `profiler`")
    from profiler.measure import measure

    asked = request(model_type, method, **settings)
    found, measured = estimate(asked), measure(asked)
    assert found.weights_bytes == measured.weights_bytes
    assert found.steady_bytes == measured.steady_bytes
    assert found.peak_bytes == pytest.approx(measured.peak_bytes, rel=5e-4)


IN_PROJ = {"lora": {"r": 4, "target_modules": ["in_proj", "q_proj"]}}
DUALS: list[tuple[str, dict[str, Any]]] = [
    ("full", {}),
    ("full", {"max_length": 160, "dtype": "float32"}),
    ("full", {"max_length": 20, "gradient_checkpointing": True}),
    ("lora", {"gradient_checkpointing": True, "padding": "padded", **IN_PROJ}),
    ("qlora", {"attn_implementation": "eager", "per_device_train_batch_size": 1, **IN_PROJ}),
]


@pytest.mark.torch
@pytest.mark.parametrize(("method", "settings"), DUALS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_plan_of_mamba_2_by_chunks_equals_real_steps(method: str, settings: dict[str, Any]) -> None:
    pytest.importorskip("torch", reason="needs the extra `profiler`")
    from profiler.measure import measure

    asked = request("nemotron_h", method, **settings)
    found, measured = estimate(asked), measure(asked)
    assert found.weights_bytes == measured.weights_bytes
    assert found.steady_bytes == measured.steady_bytes
    assert found.peak_bytes == pytest.approx(measured.peak_bytes, rel=5e-4)


SCANS = [("mamba", "full", {}), ("jamba", "lora", {}), ("jamba", "qlora", {"gradient_checkpointing": True})]


@pytest.mark.torch
@pytest.mark.parametrize(("model_type", "method", "settings"), SCANS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_scan_over_tokens_is_modelled_within_one_percent(
    model_type: str, method: str, settings: dict[str, Any]
) -> None:
    pytest.importorskip("torch", reason="needs the extra `profiler`")
    from profiler.measure import measure

    asked = request(model_type, method, max_length=48, **settings)
    found, measured = estimate(asked), measure(asked)
    assert found.certainty == "modelled"
    assert found.weights_bytes == measured.weights_bytes
    assert found.steady_bytes == measured.steady_bytes
    assert found.peak_bytes == pytest.approx(measured.peak_bytes, rel=1e-2)


def test_an_adapter_that_the_forward_goes_past_gets_no_states() -> None:
    targets = {"lora": {"r": 4, "target_modules": ["dt_proj"]}}
    assert estimate(request("jamba", "lora", **targets)).optimizer_bytes == 0


def test_the_note_says_which_code_is_planned() -> None:
    assert any("causal-conv1d" in note for note in estimate(request("mamba")).notes)
    assert not any(
        "causal-conv1d" in note
        for note in estimate(parse_request({"model": {"model_type": "llama"}, "method": "full"})).notes
    )
