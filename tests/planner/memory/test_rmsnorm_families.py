"""What one layer of each RMSNorm family keeps for backward, counted by hand from transformers' modelling code.

Full fine-tuning in bfloat16 on the CPU, no checkpointing, no padding: 2 bytes an element unless said otherwise.
"""

from typing import Any

import pytest

from planner.architecture.read import read_architecture
from planner.errors import RequestError
from planner.memory.inventory import resolve_setup
from planner.memory.layout import build_step
from planner.memory.step import Step, last_used
from planner.schema import parse_request

BATCH, LENGTH, HIDDEN, HEADS, KV_HEADS, HEAD_DIM, WIDE = 2, 16, 32, 4, 2, 8, 64
TOKENS = BATCH * LENGTH
QUERIES, KEYS = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
SCORES = BATCH * HEADS * LENGTH * LENGTH
LOG_SUM_EXP = BATCH * HEADS * LENGTH * 4  # float32
EXPERTS, TOP_K, RANK = 4, 2, 2
MOE: dict[str, Any] = {"num_experts_per_tok": TOP_K, "num_local_experts": EXPERTS}
QWEN3_MOE: dict[str, Any] = {"num_experts_per_tok": TOP_K, "num_experts": EXPERTS, "moe_intermediate_size": WIDE}


def step(model_type: str, config: dict[str, Any] | None = None, **settings: Any) -> Step:
    """A step of a small model of three layers."""
    model = {
        "model_type": model_type,
        "vocab_size": 100,
        "hidden_size": HIDDEN,
        "intermediate_size": WIDE,
        "num_hidden_layers": 3,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": HEAD_DIM,
        **(config or {}),
    }
    fields = {"per_device_train_batch_size": BATCH, "max_length": LENGTH, "method": "full", "device": "cpu", **settings}
    request = parse_request({"model": model, **fields})
    architecture = read_architecture(model)
    return build_step(request, architecture, resolve_setup(request, architecture), BATCH, LENGTH)


def kept_bytes(model_type: str, config: dict[str, Any] | None = None, **settings: Any) -> int:
    """Bytes that a layer in the middle keeps."""
    kept: int = step(model_type, config, **settings).layers[1].kept
    return kept


def bf16(width: int) -> int:
    """Bytes of a tensor that is so wide for each token."""
    return TOKENS * width * 2


def rms_norm(width: int, rows: int = 1) -> int:
    """Llama's: the float32 input, 1/rms of each row, and what the weight is multiplied with, in 16 bits."""
    return TOKENS * width * 4 + TOKENS * rows * 4 + bf16(width)


def late_cast(width: int, rows: int = 1) -> int:
    """Olmo 2's, and but for 1 + weight Gemma's: input and normalized input in float32, 1/rms of each row."""
    return 2 * TOKENS * width * 4 + TOKENS * rows * 4


def unit_offset(width: int, rows: int = 1) -> int:
    """Gemma's: 1 + weight in float32 besides."""
    return late_cast(width, rows) + width // rows * 4


def flash(queries: int = QUERIES, keys: int = KEYS) -> int:
    """q, k, v, the output and one float32 a query and head."""
    return bf16(queries + 2 * keys) + bf16(queries) + LOG_SUM_EXP


INPUTS = 2 * bf16(HIDDEN)  # of the projections and of the MLP
MLP = 4 * bf16(WIDE)  # gate, activated gate, up, their product


@pytest.mark.parametrize("model_type", ["llama", "granite", "smollm3"])
def test_llama_granite_and_smollm3_keep_the_same(model_type: str) -> None:
    # granite's multipliers are numbers, which save nothing; smollm3's layer 1 has rotary positions
    assert kept_bytes(model_type) == 2 * rms_norm(HIDDEN) + INPUTS + flash() + MLP


def test_a_layer_without_rotary_positions_keeps_its_projections_instead() -> None:
    assert kept_bytes("smollm3", {"no_rope_layers": [1, 0, 1]}) == kept_bytes("smollm3")


def test_qwen3_adds_norms_of_queries_and_keys() -> None:
    norms = 2 * rms_norm(HIDDEN) + rms_norm(QUERIES, HEADS) + rms_norm(KEYS, KV_HEADS)
    assert kept_bytes("qwen3") == norms + INPUTS + flash() + MLP


def test_gemma_norms_in_float32_to_the_end() -> None:
    assert kept_bytes("gemma") == 2 * unit_offset(HIDDEN) + INPUTS + flash() + MLP


def test_gemma2_is_eager_and_keeps_tanh_softmax_and_weights() -> None:
    # a copy of the rotated queries, keys and values repeated to all heads, the output; tanh, softmax (float32), weights
    attention = 4 * bf16(QUERIES) + SCORES * (2 + 4 + 2)
    assert kept_bytes("gemma2") == 4 * unit_offset(HIDDEN) + INPUTS + attention + MLP


def test_gemma2_without_a_cap_keeps_no_tanh() -> None:
    without = kept_bytes("gemma2", {"attn_logit_softcapping": None})
    assert kept_bytes("gemma2") - without == SCORES * 2


def test_gemma3_has_six_norms() -> None:
    norms = 4 * unit_offset(HIDDEN) + unit_offset(QUERIES, HEADS) + unit_offset(KEYS, KV_HEADS)
    assert kept_bytes("gemma3_text") == norms + INPUTS + flash() + MLP


def test_a_filled_window_brings_a_mask_and_repeated_keys() -> None:
    window = {"sliding_window": LENGTH}
    added = BATCH * LENGTH * LENGTH * 2 + 2 * (bf16(QUERIES) - bf16(KEYS))
    assert kept_bytes("gemma3_text", window) - kept_bytes("gemma3_text", {"sliding_window": LENGTH + 1}) == added


def test_olmo2_norms_whole_queries_and_keys_and_rotates_in_float32() -> None:
    # the float32 products of the rotation save only cos and sin; queries and keys go on in 16 bits
    norms = 2 * late_cast(HIDDEN) + late_cast(QUERIES) + late_cast(KEYS)
    assert kept_bytes("olmo2") == norms + INPUTS + flash() + MLP


def test_phi3_keeps_the_whole_of_its_fused_projections() -> None:
    # rotated queries and keys are joined with an empty rest in new tensors; values are a slice of qkv; the output has
    # the layout of the joined queries, and the next linear reads a transposed copy
    attention = bf16(QUERIES + 2 * KEYS) + bf16(QUERIES) + bf16(KEYS) + 2 * bf16(QUERIES) + LOG_SUM_EXP
    assert kept_bytes("phi3", {"pad_token_id": 0}) == 2 * rms_norm(HIDDEN) + INPUTS + attention + MLP


def test_cohere_norms_in_float32_with_the_deviation_made_twice() -> None:
    # deviations 2, the normalized input, 1/deviation of each row, the weight; attention and MLP read one norm's output
    norm = 3 * TOKENS * HIDDEN * 4 + TOKENS * 4 + HIDDEN * 4
    assert kept_bytes("cohere") == norm + bf16(HIDDEN) + flash() + MLP
    assert kept_bytes("cohere2", {"sliding_window": LENGTH + 1}) == kept_bytes("cohere")


def test_cohere_norms_each_head_of_queries_and_keys() -> None:
    norms = 3 * TOKENS * (QUERIES + KEYS) * 4 + TOKENS * (HEADS + KV_HEADS) * 4 + (QUERIES + KEYS) * 4
    assert kept_bytes("cohere", {"use_qk_norm": True}) - kept_bytes("cohere") == norms


def router(weights: int, norm: bool) -> int:
    """Softmax in float32, int64 indices; the sum and a copy where the chosen are made to add up to one."""
    pairs = TOKENS * TOP_K
    indices = 8 * pairs * 4  # chosen experts, token of each copy, order, order back
    return TOKENS * EXPERTS * 4 + indices + pairs * weights + (TOKENS * 4 + pairs * 4 if norm else 0)


#: Tokens by expert, the expert's gate and up in one, activated gate, product, and the output.
EXPERT_MLP = TOP_K * (2 * bf16(HIDDEN) + MLP)


def test_mixtral_copies_each_token_for_its_experts() -> None:
    attention = 2 * rms_norm(HIDDEN) + INPUTS + flash()
    assert kept_bytes("mixtral", MOE) == attention + router(weights=4, norm=True) + EXPERT_MLP


def test_qwen3_moe_weighs_in_16_bits() -> None:
    norms = 2 * rms_norm(HIDDEN) + rms_norm(QUERIES, HEADS) + rms_norm(KEYS, KV_HEADS)
    expected = norms + INPUTS + flash() + router(weights=2, norm=False) + EXPERT_MLP
    assert kept_bytes("qwen3_moe", QWEN3_MOE) == expected


def lora(*targets: str, dropout: float = 0.0) -> dict[str, Any]:
    modules = list(targets) if targets else "all-linear"
    return {"method": "lora", "lora": {"r": RANK, "target_modules": modules, "lora_dropout": dropout}}


def test_adapted_experts_keep_a_second_stack_of_weights() -> None:
    stacks = EXPERTS * (2 * WIDE * HIDDEN + HIDDEN * WIDE) * 2
    factors = EXPERTS * (2 * RANK * (2 * WIDE + HIDDEN) + RANK * (HIDDEN + WIDE)) * 2
    router_weight = EXPERTS * HIDDEN * 2
    inputs = TOP_K * (bf16(HIDDEN) + bf16(WIDE)) + bf16(HIDDEN)  # of both products and of the router
    attention = kept_bytes("mixtral", MOE, **lora("q_proj", "k_proj", "v_proj", "o_proj"))
    assert kept_bytes("mixtral", MOE, **lora()) - attention == stacks + factors + router_weight + inputs


def test_adapted_experts_refuse_a_dropout_in_one_line() -> None:
    with pytest.raises(RequestError, match="lora_dropout") as caught:
        step("mixtral", MOE, **lora(dropout=0.05))
    assert "\n" not in str(caught.value)


def test_masks_of_one_kind_of_layer_go_with_the_first_of_them() -> None:
    # gemma2 under checkpointing: while layer 0, which slides, runs backward, the mask of layer 1 is gone
    whole = step("gemma2", {"num_hidden_layers": 2}, gradient_checkpointing=True)
    (entry,), (runs,) = whole.tape.entries, whole.stacks
    mask = BATCH * LENGTH * LENGTH * 2
    assert whole.model.total(last_used(entry, runs, 1)) == mask
    assert last_used(entry, runs, 0) != last_used(entry, runs, 1)
