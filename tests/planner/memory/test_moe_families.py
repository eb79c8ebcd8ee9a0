"""What one layer of the families with experts, and of OLMo's and GLM's, keeps for backward: counted by hand.

Full fine-tuning in bfloat16 on the CPU, no checkpointing, no padding: 2 bytes an element unless said otherwise.
"""

from typing import Any

import pytest

from planner.architecture.read import read_architecture
from planner.estimate import estimate
from planner.memory.inventory import resolve_setup
from planner.memory.layout import build_step
from planner.schema import parse_request
from tests.planner.memory.test_rmsnorm_families import (
    BATCH,
    EXPERT_MLP,
    EXPERTS,
    HEAD_DIM,
    HEADS,
    HIDDEN,
    INPUTS,
    KEYS,
    KV_HEADS,
    LENGTH,
    LOG_SUM_EXP,
    MLP,
    QUERIES,
    SCORES,
    TOKENS,
    TOP_K,
    WIDE,
    bf16,
    flash,
    kept_bytes,
    late_cast,
    rms_norm,
    router,
    step,
)

PAIRS = TOKENS * TOP_K
ROTARY = HEAD_DIM // 2
EXPERT_SIZES: dict[str, Any] = {"num_experts_per_tok": TOP_K, "moe_intermediate_size": WIDE}


def plain_norm(width: int) -> int:
    """OLMo's: the float32 input, mean and reciprocal deviation of each row; its output is kept by what reads it."""
    return TOKENS * width * 4 + 2 * TOKENS * 4


def test_olmo_norms_without_weights_in_float32() -> None:
    assert kept_bytes("olmo") == 2 * plain_norm(HIDDEN) + INPUTS + flash() + MLP


def test_clamping_in_place_keeps_what_the_projections_were() -> None:
    added = bf16(QUERIES + 2 * KEYS)
    assert kept_bytes("olmo", {"clip_qkv": 8.0}) - kept_bytes("olmo") == added


def test_olmo3_is_olmo2_and_a_filled_window_brings_a_mask() -> None:
    window = {"sliding_window": LENGTH}
    added = BATCH * LENGTH * LENGTH * 2 + 2 * (bf16(QUERIES) - bf16(KEYS))
    assert kept_bytes("olmo3") == kept_bytes("olmo2")
    assert kept_bytes("olmo3", window) - kept_bytes("olmo3") == added


def test_glm_joins_rotated_parts_and_keeps_tables_of_its_own() -> None:
    tables = 2 * LENGTH * ROTARY * 2
    # v is a view of its projection; q, k joined anew; the kernel's output and a copy in the order of the next linear
    attention = bf16(QUERIES + 2 * KEYS) + 2 * bf16(QUERIES) + LOG_SUM_EXP
    expected = 2 * rms_norm(HIDDEN) + INPUTS + attention + tables + MLP
    assert kept_bytes("glm", {"pad_token_id": 0}) == expected


def test_glm4_adds_two_norms() -> None:
    assert kept_bytes("glm4") - kept_bytes("glm") == 2 * rms_norm(HIDDEN)


def test_olmoe_norms_whole_queries_and_keys() -> None:
    norms = 2 * rms_norm(HIDDEN) + rms_norm(QUERIES) + rms_norm(KEYS)
    config = {"num_experts_per_tok": TOP_K, "num_experts": EXPERTS}
    assert kept_bytes("olmoe", config) == norms + INPUTS + flash() + router(2, norm=False) + EXPERT_MLP


def test_qwen2_moe_has_an_expert_for_every_token_behind_a_gate() -> None:
    config = EXPERT_SIZES | {"num_experts": EXPERTS, "shared_expert_intermediate_size": 2 * WIDE}
    shared = 2 * MLP + bf16(HIDDEN) + bf16(1)  # the expert's layers, its output, and the sigmoid it is weighed with
    expected = 2 * rms_norm(HIDDEN) + INPUTS + flash() + router(2, norm=False) + EXPERT_MLP + shared
    assert kept_bytes("qwen2_moe", config) == expected


NOPE, ROPE, VALUES, Q_RANK, KV_RANK = 8, 4, 6, 10, 12
LATENT: dict[str, Any] = EXPERT_SIZES | {
    **{"n_routed_experts": EXPERTS, "n_shared_experts": 1, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1},
    **{"q_lora_rank": Q_RANK, "kv_lora_rank": KV_RANK, "qk_nope_head_dim": NOPE, "qk_rope_head_dim": ROPE},
    **{"v_head_dim": VALUES, "num_key_value_heads": HEADS, "head_dim": None},
}


def grouped_router() -> int:
    """Tokens in float32, the sigmoid of the logits, indices, weights, and what dividing by the sum saves."""
    indices = 4 * PAIRS * 8
    return TOKENS * HIDDEN * 4 + TOKENS * EXPERTS * 4 + indices + PAIRS * 4 + TOKENS * 4 + PAIRS * 4


def test_deepseek_v3_keeps_latents_and_float32_attention_on_the_cpu() -> None:
    latents = rms_norm(Q_RANK) + bf16(Q_RANK) + rms_norm(KV_RANK) + bf16(KV_RANK)
    heads = BATCH * HEADS * LENGTH
    # the math path: scaled queries and keys, values, softmax in float32; the output in 16 bits for the next linear
    attention = heads * (2 * (NOPE + ROPE) + VALUES) * 4 + SCORES * 4 + bf16(HEADS * VALUES)
    expected = 2 * rms_norm(HIDDEN) + INPUTS + latents + attention + grouped_router() + EXPERT_MLP + MLP
    assert kept_bytes("deepseek_v3", LATENT) == expected


def test_first_layers_of_deepseek_are_dense() -> None:
    layers = step("deepseek_v3", LATENT).layers
    assert layers[0].saved < layers[1].saved == layers[2].saved


def test_values_as_wide_as_keys_leave_attention_to_a_kernel() -> None:
    even = LATENT | {"v_head_dim": NOPE + ROPE}
    fused = flash(HEADS * (NOPE + ROPE), HEADS * (NOPE + ROPE))
    # values are a slice of what keys and values are made of, which is kept whole
    fused += bf16(HEADS * NOPE)
    latents = rms_norm(Q_RANK) + bf16(Q_RANK) + rms_norm(KV_RANK) + bf16(KV_RANK)
    expected = 2 * rms_norm(HIDDEN) + INPUTS + latents + fused + grouped_router() + EXPERT_MLP + MLP
    assert kept_bytes("deepseek_v3", even) == expected + bf16(HEADS * (NOPE + ROPE))  # the output's copy


@pytest.mark.parametrize("model_type", ["deepseek_v2", "deepseek_v3"])
def test_a_gpu_keeps_no_scores_of_uneven_heads(model_type: str) -> None:
    of_cpu, of_gpu = kept_bytes(model_type, LATENT), kept_bytes(model_type, LATENT, device="cuda")
    assert of_cpu - of_gpu > SCORES * 4


def test_gpt_oss_keeps_scores_with_a_sink_and_expert_biases() -> None:
    config = {"num_experts_per_tok": TOP_K, "num_local_experts": EXPERTS}
    # rotated queries copied for the product, keys and values repeated, softmax over S + 1, indices of the largest
    with_sink = BATCH * HEADS * LENGTH * (LENGTH + 1)
    attention = 4 * bf16(QUERIES) + with_sink * 2 + BATCH * HEADS * LENGTH * 8
    indices = 5 * PAIRS * 8  # the sorted experts too, by which biases are chosen
    routing = indices + 2 * PAIRS * 2
    # tokens by expert, gate and up, both clamped, sigmoid, up + 1, glu, the product, the output
    experts = TOP_K * (2 * bf16(HIDDEN) + 7 * bf16(WIDE))
    expected = 2 * late_cast(HIDDEN) + INPUTS + attention + routing + experts
    assert kept_bytes("gpt_oss", config) == expected


def test_adapting_a_router_that_fails_is_said() -> None:
    model = {"model_type": "phimoe", "num_hidden_layers": 2, "num_local_experts": 4}
    request = {"model": model, "method": "lora", "max_length": 64}
    assert any("router" in note for note in estimate(parse_request(request)).notes)
    targets = {"lora": {"target_modules": ["q_proj", "v_proj"]}}
    assert not any("router" in note for note in estimate(parse_request(request | targets)).notes)


def power_norm(width: int, rows: int = 1) -> int:
    """Gemma 4's: late_cast, the mean of squares besides its power, and the weight in float32."""
    return late_cast(width, rows) + TOKENS * rows * 4 + width // rows * 4


GEMMA4: dict[str, Any] = {
    **{"hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0, "sliding_window": 100},
    **{"global_head_dim": HEAD_DIM, "num_hidden_layers": 3},
}


def test_gemma4_norms_queries_keys_and_values() -> None:
    # values are normed without a weight: the float32 input and two numbers a row
    values = TOKENS * KEYS * 4 + 2 * TOKENS * KV_HEADS * 4
    norms = 4 * power_norm(HIDDEN) + power_norm(QUERIES, HEADS) + power_norm(KEYS, KV_HEADS) + values
    assert kept_bytes("gemma4_text", GEMMA4) == norms + INPUTS + flash() + MLP


def test_gemma4_without_values_of_their_own_keeps_no_less() -> None:
    shared = GEMMA4 | {"attention_k_eq_v": True, "layer_types": ["full_attention"] * 3}
    own = GEMMA4 | {"layer_types": ["full_attention"] * 3}
    assert kept_bytes("gemma4_text", shared) == kept_bytes("gemma4_text", own)  # both norms save a float32 copy


def test_gemma4_gives_each_layer_a_small_input_of_its_own() -> None:
    small = 24
    # what the gate reads, its output, that activated, the product with the input (a view of all layers'), and a norm
    own = bf16(HIDDEN) + 3 * bf16(small) + power_norm(HIDDEN)
    given = GEMMA4 | {"hidden_size_per_layer_input": small}
    assert kept_bytes("gemma4_text", given) - kept_bytes("gemma4_text", GEMMA4) == own


def test_gemma4_inputs_of_all_layers_are_kept_once() -> None:
    without, with_own = (
        step("gemma4_text", GEMMA4 | {"hidden_size_per_layer_input": small}).tape.entries[0].shared for small in (0, 24)
    )
    added = {label for label, _, _ in with_own} - {label for label, _, _ in without}
    norm = {f"per_layer_projection_norm: {name}" for name in ("to float32", "add", "power", "normalized")}
    assert added == {"layer inputs"} | norm


def test_gemma4_layers_with_an_earlier_layers_keys_keep_none() -> None:
    four = {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2}
    kept = [step("gemma4_text", GEMMA4 | four | {"num_kv_shared_layers": shared}).layers[2].kept for shared in (0, 2)]
    values = TOKENS * KEYS * 4 + 2 * TOKENS * KV_HEADS * 4
    assert kept[0] - kept[1] == 2 * bf16(KEYS) + power_norm(KEYS, KV_HEADS) + values


def dbrx_kept_bytes(num_experts: int) -> int:
    """Bytes that one layer keeps."""
    model = {
        **{"model_type": "dbrx", "d_model": HIDDEN, "n_heads": HEADS, "n_layers": 3, "vocab_size": 100},
        "attn_config": {"kv_n_heads": KV_HEADS, "clip_qkv": 8},
        "ffn_config": {"ffn_hidden_size": WIDE, "moe_num_experts": num_experts, "moe_top_k": TOP_K},
    }
    fields = {"per_device_train_batch_size": BATCH, "max_length": LENGTH, "method": "full", "device": "cpu"}
    request = parse_request({"model": model, **fields})
    architecture = read_architecture(model)
    whole = build_step(request, architecture, resolve_setup(request, architecture), BATCH, LENGTH)
    kept: int = whole.layers[1].kept
    return kept


def test_dbrx_keeps_as_much_however_many_experts_share_the_tokens() -> None:
    added = dbrx_kept_bytes(2 * EXPERTS) - dbrx_kept_bytes(EXPERTS)
    assert added == TOKENS * EXPERTS * 2  # the router's softmax alone


SMALL: dict[str, dict[str, Any]] = {
    "phimoe": {"num_local_experts": EXPERTS, "num_experts_per_tok": 2},
    "deepseek_v2": LATENT | {"topk_method": "group_limited_greedy"},
    "deepseek_v3": LATENT,
    "gpt_oss": {"num_local_experts": EXPERTS, "num_experts_per_tok": TOP_K},
    "gemma4_text": GEMMA4 | {"enable_moe_block": True, "num_experts": EXPERTS, "top_k_experts": TOP_K} | EXPERT_SIZES,
}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("model_type", SMALL)
def test_a_layer_leaves_gradients_and_nothing_else(model_type: str, checkpointing: bool) -> None:
    """Also where no gradient reaches a part of its graph, as phimoe's draw of the experts."""
    whole = step(model_type, SMALL[model_type], gradient_checkpointing=checkpointing)
    left = {category for layer in whole.layers for _, category, _ in layer.tape.gradients}
    assert left == {"gradients"}
