"""Vision-language models on a batch of text: what the tower adds, by hand, and plans against real steps."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.architecture.read import read_architecture
from planner.estimate import estimate
from planner.memory.inventory import inventory, resolve_setup
from planner.memory.layout import build_step
from planner.schema import PlanRequest, parse_request

BATCH, LENGTH, HIDDEN, HEADS, HEAD_DIM, LAYERS, VOCAB = 2, 16, 64, 4, 16, 3, 1000
TEXT: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 160,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "vocab_size": VOCAB,
    "head_dim": HEAD_DIM,
}
EYE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}
QWEN_EYE: dict[str, Any] = {"depth": 2, "num_heads": 2, "patch_size": 8, "out_hidden_size": HIDDEN}
QWEN2_EYE = {**QWEN_EYE, "embed_dim": 32, "hidden_size": HIDDEN}
QWEN3_EYE = {**QWEN_EYE, "hidden_size": 32, "intermediate_size": 64, "deepstack_visual_indexes": [0]}
GRIDS = {"rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
MLLAMA_EYE = {**EYE, "attention_heads": 2, "num_global_layers": 1, "intermediate_layers_indices": [0]}

MODELS: dict[str, dict[str, Any]] = {
    "gemma3": {
        "text_config": {**TEXT, "sliding_window": 8, "num_hidden_layers": 6},
        "vision_config": EYE,
        "mm_tokens_per_image": 4,
    },
    "qwen2_vl": {**TEXT, **GRIDS, "vision_config": QWEN2_EYE},
    "qwen2_5_vl": {
        "text_config": {**TEXT, **GRIDS},
        "vision_config": {**QWEN_EYE, "hidden_size": 32, "intermediate_size": 64, "fullatt_block_indexes": [1]},
    },
    "qwen3_vl": {"text_config": {**TEXT, **GRIDS}, "vision_config": QWEN3_EYE},
    "qwen3_vl_moe": {"text_config": {**TEXT, **GRIDS, **EXPERTS}, "vision_config": QWEN3_EYE},
    "llava": {
        "text_config": {**TEXT, "model_type": "llama"},
        "vision_config": {**EYE, "model_type": "clip_vision_model"},
    },
    "mistral3": {"text_config": {**TEXT, "model_type": "mistral"}, "vision_config": {**EYE, "model_type": "pixtral"}},
    "mllama": {
        "text_config": {**TEXT, "num_hidden_layers": 4, "cross_attention_layers": [1], "pad_token_id": 0},
        "vision_config": {**MLLAMA_EYE, "vision_output_dim": 64},
    },
}


def request(model_type: str, method: str = "full", **settings: Any) -> PlanRequest:
    model = {"model_type": model_type, **MODELS[model_type]}
    fields = {"per_device_train_batch_size": BATCH, "max_length": LENGTH, "device": "cpu", **settings}
    return parse_request({"model": model, "method": method, **fields})


def plan(model_type: str, method: str = "full", **settings: Any) -> Plan:
    return estimate(request(model_type, method, **settings))


def tower_params(model_type: str) -> int:
    """Parameters of the tower, its projector, and of layers that attend to images."""
    asked = request(model_type)
    architecture = read_architecture(asked.model)  # type: ignore[arg-type]
    items = inventory(asked, architecture, resolve_setup(asked, architecture))
    words = ("visual", "vision", "multi_modal_projector", "cross_attn")
    shared_names = 3 * HIDDEN * 160 + 2 * HIDDEN  # MLP and norms of mllama's one layer that attends to images
    named = sum(i.elements for i in items if i.role != "buffer" and any(w in i.name for w in words))
    return named + (shared_names if model_type == "mllama" else 0)


@pytest.mark.parametrize("model_type", MODELS)
def test_what_no_text_reaches_is_loaded_but_has_no_states(model_type: str) -> None:
    found = plan(model_type, optim="adamw_torch_fused")
    reached = found.trainable_params - tower_params(model_type)
    counters = found.optimizer_bytes - 2 * 2 * reached  # two bfloat16 states; 4 bytes a tensor
    assert 0 < counters < 4 * 200
    assert any("images" in note for note in found.notes)


def test_positions_of_three_grids_make_a_table_a_sequence() -> None:
    # cos and sin in 16 bits, [B, S, head_dim] where qwen3's are [1, S, head_dim]
    seen = {t.name: t.bytes for t in plan("qwen3_vl").terms}
    assert seen["rotary_emb: cos"] == BATCH * LENGTH * HEAD_DIM * 2


def test_mllama_skips_layers_that_attend_to_images() -> None:
    asked = request("mllama")
    architecture = read_architecture(asked.model)  # type: ignore[arg-type]
    step = build_step(asked, architecture, resolve_setup(asked, architecture), BATCH, LENGTH)
    assert len(step.layers) == 4 - 1


CASES = [
    ("gemma3", "qlora", {"gradient_checkpointing": True}),
    ("gemma3", "full", {"padding": "padded"}),
    ("qwen2_vl", "full", {}),
    ("qwen2_vl", "lora", {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}),
    ("qwen2_5_vl", "full", {"attn_implementation": "eager", "gradient_checkpointing": True}),
    ("qwen3_vl", "lora", {}),
    ("qwen3_vl", "full", {"gradient_checkpointing": True}),
    ("qwen3_vl_moe", "full", {}),
    ("llava", "qlora", {}),
    ("mistral3", "lora", {"gradient_checkpointing": True}),
    ("mllama", "full", {}),
    ("mllama", "lora", {"gradient_checkpointing": True}),
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
