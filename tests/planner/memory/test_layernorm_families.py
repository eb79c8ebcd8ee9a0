"""What one layer of each LayerNorm family keeps for backward, counted by hand from transformers' modelling code.

Full fine-tuning in bfloat16 on the CPU, no checkpointing, no padding: 2 bytes an element unless said otherwise.
"""

from typing import Any

import pytest

from planner.architecture.read import read_architecture
from planner.catalog import resolve_config
from planner.estimate import estimate
from planner.memory.inventory import resolve_setup
from planner.memory.layout import build_step
from planner.schema import parse_request

BATCH, LENGTH, HIDDEN, HEADS = 2, 16, 32, 4
WIDE, ROTARY = 4 * HIDDEN, 4
TOKENS = BATCH * LENGTH
STATISTICS = 2 * TOKENS * 2  # mean and reciprocal deviation of one LayerNorm
LOG_SUM_EXP = BATCH * HEADS * LENGTH * 4  # float32
SCORES = BATCH * HEADS * LENGTH * LENGTH

GROUPED = {
    **{"hidden_size": HIDDEN, "intermediate_size": WIDE},
    **{"num_attention_heads": HEADS, "num_key_value_heads": HEADS},
}
SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": HIDDEN, "n_layer": 3, "n_head": HEADS, "n_positions": 64},
    "gpt_neox": {"hidden_size": HIDDEN, "intermediate_size": WIDE, "num_attention_heads": HEADS},
    "opt": {"hidden_size": HIDDEN, "ffn_dim": WIDE, "num_attention_heads": HEADS, "word_embed_proj_dim": HIDDEN},
    "bloom": {"hidden_size": HIDDEN, "n_layer": 3, "n_head": HEADS},
    "falcon": {"hidden_size": HIDDEN, "num_attention_heads": HEADS},
    "phi": {"hidden_size": HIDDEN, "intermediate_size": WIDE, "num_attention_heads": HEADS},
    "gpt_bigcode": {"n_embd": HIDDEN, "n_layer": 3, "n_head": HEADS, "n_positions": 64},
    "starcoder2": GROUPED,
    "stablelm": GROUPED,
    "mpt": {"d_model": HIDDEN, "n_layers": 3, "n_heads": HEADS, "max_seq_len": 64},
    "gpt_neo": {"hidden_size": HIDDEN, "num_layers": 3, "num_heads": HEADS, "attention_types": [[["global"], 3]]},
    "gptj": {"n_embd": HIDDEN, "n_layer": 3, "n_head": HEADS, "rotary_dim": ROTARY},
    "bert": {"hidden_size": HIDDEN, "intermediate_size": WIDE, "num_attention_heads": HEADS},
    "roberta": {"hidden_size": HIDDEN, "intermediate_size": WIDE, "num_attention_heads": HEADS},
}
#: Families whose sizes name the number of layers themselves.
COUNTED = ("n_layer", "n_layers", "num_layers")


def kept_bytes(model_type: str, config: dict[str, Any] | None = None, **settings: Any) -> int:
    """Bytes that a layer in the middle of a small model keeps."""
    model = {"model_type": model_type, "vocab_size": 100, **SIZES[model_type], **(config or {})}
    if not any(name in model for name in COUNTED):
        model["num_hidden_layers"] = 3
    fields = {"per_device_train_batch_size": BATCH, "max_length": LENGTH, "method": "full", "device": "cpu", **settings}
    request = parse_request({"model": model, **fields})
    architecture = read_architecture(model)
    setup = resolve_setup(request, architecture)
    kept: int = build_step(request, architecture, setup, BATCH, LENGTH).layers[1].kept
    return kept


def bf16(hidden: int, wide: int) -> int:
    """Bytes of so many hidden-sized and MLP-sized tensors."""
    return TOKENS * (hidden * HIDDEN + wide * WIDE) * 2


def test_gpt_neox_keeps_qkv_for_the_values_and_rotated_queries_and_keys() -> None:
    # input 1, norms 2, qkv 3 (v is a view of it), rotated q and k 2; up and its gelu
    # attention output 2: the kernel's has the layout of the rotated queries, the next linear reads a transposed copy
    assert kept_bytes("gpt_neox") == bf16(10, 2) + 2 * STATISTICS + LOG_SUM_EXP


def test_phi_has_one_norm_and_five_tensors_for_gelu_new() -> None:
    # input 1, norm 1, q, k, v 3, attention output 2 (as gpt_neox); up, 0.5 * up, tanh, 1 + tanh, the product
    assert kept_bytes("phi") == bf16(7, 5) + STATISTICS + LOG_SUM_EXP


def test_opt_keeps_dropout_masks_of_its_own_dtype_and_relu_keeps_its_result_alone() -> None:
    # input 1, norms 2, scaled q, k, v 3, attention output 1, two dropout masks, hidden states between; relu's result
    assert kept_bytes("opt") == bf16(10, 1) + 2 * STATISTICS + LOG_SUM_EXP


def test_opt_without_dropout_has_no_masks() -> None:
    assert kept_bytes("opt") - kept_bytes("opt", {"dropout": 0.0}) == bf16(2, 0)


def test_gpt2_with_attention_dropout_takes_the_math_path_in_float32_on_the_cpu() -> None:
    # input 1, norms 2, attention output 1, two dropout masks, hidden states between; gelu_new's five
    # float32: copies of q, k, v for bmm; softmax, dropout mask and the product for each head
    math = 3 * TOKENS * HIDDEN * 4 + 3 * SCORES * 4
    assert kept_bytes("gpt2") == bf16(7, 5) + math + 2 * STATISTICS


def test_gpt2_without_attention_dropout_takes_the_fused_kernel() -> None:
    # as above, with the whole of qkv for the kernel's q, k and v, and its output and log-sum-exp
    fused = bf16(3, 0) + LOG_SUM_EXP
    assert kept_bytes("gpt2", {"attn_pdrop": 0.0}) == bf16(7, 5) + fused + 2 * STATISTICS


def test_bloom_keeps_softmax_twice_and_copies_of_q_k_and_v() -> None:
    # input 1, norms 2, q, k, v 3, attention output 1, hidden states between 1; up and its gelu
    softmax = SCORES * (4 + 2)  # float32, and its 16-bit copy
    assert kept_bytes("bloom") == bf16(8, 2) + softmax + 2 * STATISTICS


def test_falcon_spreads_one_key_to_all_heads_on_the_math_path() -> None:
    # input 1, norm 1, attention output 1; up and its gelu; float32: q, spread k and v, softmax
    math = 3 * TOKENS * HIDDEN * 4 + SCORES * 4
    indices = 2 * 8  # the [-2] and [-1] that key and value are indexed with
    assert kept_bytes("falcon") == bf16(3, 2) + math + STATISTICS + indices


#: What _scaled_dot_product_attention_math keeps in float32: q, k, v; softmax, dropout mask and their product.
MATH = 3 * TOKENS * HIDDEN * 4 + 3 * SCORES * 4


def test_gpt_bigcode_copies_its_one_key_to_all_heads() -> None:
    # input 1, norms 2, attention output 1, two dropout masks, hidden states between; up and its gelu
    assert kept_bytes("gpt_bigcode") == bf16(7, 2) + MATH + 2 * STATISTICS


def test_starcoder2_keeps_what_llama_does_and_layer_norms() -> None:
    # input 1, norms 2, q, k, v, attention output 4, hidden states between; up and its gelu
    assert kept_bytes("starcoder2") == bf16(8, 2) + 2 * STATISTICS + LOG_SUM_EXP
    # with dropout masks of both halves
    assert kept_bytes("starcoder2", {"residual_dropout": 0.1}) - kept_bytes("starcoder2") == bf16(2, 0)


def test_stablelm_joins_rotated_parts_with_the_rest_of_each_head() -> None:
    # input 1, norms 2, joined q and k 2, v 1, attention output 2 (as gpt_neox), hidden states between; a gated MLP
    assert kept_bytes("stablelm") == bf16(9, 4) + 2 * STATISTICS + LOG_SUM_EXP
    # parallel: one norm for both halves, nothing between them
    assert kept_bytes("stablelm", {"use_parallel_residual": True}) == bf16(7, 4) + STATISTICS + LOG_SUM_EXP


def test_stablelm_norms_of_each_head_keep_the_projections() -> None:
    per_head = 2 * (bf16(1, 0) + 2 * BATCH * HEADS * LENGTH * 2)
    assert kept_bytes("stablelm", {"qk_layernorm": True}) - kept_bytes("stablelm") == per_head


def test_mpt_keeps_softmax_twice_and_copies_of_q_k_and_v() -> None:
    # input 1, norms 2, q, k, v 3, attention output 1, hidden states between; up and its gelu
    assert kept_bytes("mpt") == bf16(8, 2) + SCORES * (4 + 2) + 2 * STATISTICS


def test_mpt_with_more_than_transformers_builds_is_modelled_and_says_so() -> None:
    fields = {"method": "full", "device": "cpu", "max_length": LENGTH}
    plain, foundrys = (estimate(parse_request({"model": f"mosaicml/mpt-{size}"} | fields)) for size in ("7b", "125m"))
    assert (plain.certainty, foundrys.certainty) == ("exact", "modelled")
    assert [any("no_bias" in note for note in plan.notes) for plan in (plain, foundrys)] == [False, True]
    hidden, num_layers, positions = 768, 12, 2048
    biases = num_layers * (3 + 1 + 4 + 1 + 2) * hidden + hidden  # qkv, out_proj, up, down, two norms; the last norm
    without = estimate(parse_request({"model": resolve_config("mosaicml/mpt-125m")[1] | {"no_bias": True}} | fields))
    assert foundrys.total_params - without.total_params == biases + positions * hidden


def test_gpt_neo_multiplies_queries_and_keys_in_float32() -> None:
    # input 1, norms 2, v 1, attention output 1, hidden states between; five for gelu_new; softmax and its 16-bit copy
    assert kept_bytes("gpt_neo") == bf16(6, 5) + 2 * TOKENS * HIDDEN * 4 + SCORES * (4 + 2) + 2 * STATISTICS


#: GPT-J's sines and cosines, spread for the queries and again for the keys.
GPTJ_TABLES = 4 * LENGTH * ROTARY * 2


def test_gptj_keeps_its_own_sines_and_cosines_for_queries_and_keys() -> None:
    # input 1, norm 1, joined q and k 2, v 1, attention output 1 (laid out as the queries are); five for gelu_new
    assert kept_bytes("gptj") == bf16(6, 5) + STATISTICS + LOG_SUM_EXP + GPTJ_TABLES
    # eager: v 1, attention output 1; q and k in float32; softmax and its 16-bit copy
    scores = 2 * TOKENS * HIDDEN * 4 + SCORES * (4 + 2)
    assert kept_bytes("gptj", attn_implementation="eager") == bf16(4, 5) + scores + STATISTICS + GPTJ_TABLES


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_bert_norms_the_sum_of_each_half(model_type: str) -> None:
    # input 1, attention output 1, dropout masks 2, sums 2, what the MLP reads 1; up and its gelu; no causal mask
    assert kept_bytes(model_type) == bf16(7, 2) + MATH + 2 * STATISTICS


@pytest.mark.parametrize("model_type", SIZES)
def test_a_checkpoint_keeps_the_layers_input_alone(model_type: str) -> None:
    assert kept_bytes(model_type, gradient_checkpointing=True) == bf16(1, 0)
