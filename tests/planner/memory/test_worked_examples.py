"""Figures worked out by hand: the arithmetic is the test's own, from the shapes in the models' configs."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.estimate import estimate
from planner.memory.quantized import constants_bytes, packed_bytes
from planner.schema import parse_request

# Llama-3.2-1B: 16 layers, hidden 2048, intermediate 8192, 32 heads of 64, 8 of them keys; tied embeddings.
LAYERS, HIDDEN, WIDE, KEYS, VOCAB = 16, 2048, 8192, 8 * 64, 128_256
SMALL_LAYER = 2 * HIDDEN * HIDDEN + 2 * HIDDEN * KEYS + 3 * HIDDEN * WIDE
SMALL_PARAMS = VOCAB * HIDDEN + LAYERS * (SMALL_LAYER + 2 * HIDDEN) + HIDDEN
SMALL_ROTARY = 32 * 4 * 2  # inv_freq and its original, 32 float32 each

# Llama-3-70B: 80 layers, hidden 8192, intermediate 28672, 64 heads of 128, 8 of them keys; untied.
BIG_LAYERS, BIG_HIDDEN, BIG_WIDE, BIG_KEYS = 80, 8192, 28_672, 8 * 128
#: (out, in) of the seven linears of a layer.
BIG_LINEARS = [
    (BIG_HIDDEN, BIG_HIDDEN),
    (BIG_KEYS, BIG_HIDDEN),
    (BIG_KEYS, BIG_HIDDEN),
    (BIG_HIDDEN, BIG_HIDDEN),
    (BIG_WIDE, BIG_HIDDEN),
    (BIG_WIDE, BIG_HIDDEN),
    (BIG_HIDDEN, BIG_WIDE),
]


def plan(model: str = "meta-llama/Llama-3.2-1B", method: str = "full", **fields: Any) -> Plan:
    return estimate(parse_request({"model": model, "method": method, "device": "cpu", **fields}))


def in_phase(answer: Plan, phase: str, category: str) -> int:
    """Bytes of a category at the largest moment of a phase."""
    (found,) = [p for p in answer.timeline if p.phase == phase]
    return found.live_bytes[category]  # type: ignore[index]


def lora_params(linears: list[tuple[int, int]], rank: int) -> int:
    """A is [r, in], B is [out, r]."""
    return sum(rank * (out + inner) for out, inner in linears)


# -- parameters and adapters -----------------------------------------------------------------------------------------


def test_parameters_of_llama_1b() -> None:
    assert SMALL_PARAMS == 1_235_814_400
    assert plan().total_params == SMALL_PARAMS


def test_trainable_parameters_of_lora_on_llama_1b() -> None:
    linears = [(HIDDEN, HIDDEN), (KEYS, HIDDEN), (KEYS, HIDDEN), (HIDDEN, HIDDEN)]
    linears += [(WIDE, HIDDEN), (WIDE, HIDDEN), (HIDDEN, WIDE)]
    by_hand = LAYERS * lora_params(linears, 16)
    assert by_hand == 11_272_192
    answer = plan(method="lora", lora={"r": 16})
    assert answer.trainable_params == by_hand
    assert answer.total_params == SMALL_PARAMS + by_hand


def test_two_targets_train_their_matrices_only() -> None:
    answer = plan(method="lora", lora={"r": 8, "target_modules": ["q_proj", "v_proj"]})
    assert answer.trainable_params == LAYERS * 8 * ((HIDDEN + HIDDEN) + (KEYS + HIDDEN))


def test_adapters_of_a_16_bit_base_are_kept_in_float32() -> None:
    answer = plan(method="lora", lora={"r": 16})
    assert answer.weights_bytes == 2 * SMALL_PARAMS + 4 * 11_272_192 + SMALL_ROTARY
    lower = plan(method="lora", lora={"r": 16, "autocast_adapter_dtype": False})
    assert lower.weights_bytes == 2 * SMALL_PARAMS + 2 * 11_272_192 + SMALL_ROTARY


def test_adapters_have_float32_states() -> None:
    tensors = LAYERS * 7 * 2  # two matrices a linear; each has a step counter of 4 bytes
    answer = plan(method="lora", lora={"r": 16}, optim="adamw_torch_fused")
    assert answer.steady_bytes - answer.weights_bytes == 2 * 4 * 11_272_192 + 4 * tensors


# -- 4-bit weights ---------------------------------------------------------------------------------------------------


def test_constants_of_one_nf4_linear() -> None:
    numel = BIG_WIDE * BIG_HIDDEN
    blocks = numel // 64
    code = 16 * 4
    assert packed_bytes(numel) == numel // 2 == 117_440_512
    assert constants_bytes(numel, double_quant=False) == 4 * blocks + code == 14_680_128
    nested = blocks + 4 * (blocks // 256) + 256 * 4 + 4 + code
    assert constants_bytes(numel, double_quant=True) == nested == 3_728_452
    assert (numel // 2 + nested) / numel == pytest.approx(0.5159, abs=1e-4), "bytes a parameter"


def test_blocks_that_are_not_full_count_whole() -> None:
    assert packed_bytes(65) == 33
    assert constants_bytes(65, double_quant=False) == 2 * 4 + 64
    assert constants_bytes(65, double_quant=True) == 2 + 4 + 1024 + 4 + 64


def nf4_bytes(numel: int) -> int:
    blocks = numel // 64
    return numel // 2 + blocks + 4 * -(-blocks // 256) + 256 * 4 + 4 + 16 * 4


def qlora_70b(**fields: Any) -> Plan:
    return plan(
        "meta-llama/Meta-Llama-3-70B",
        "qlora",
        max_length=2048,
        gradient_checkpointing=True,
        optim="adamw_torch",
        lora={"r": 16},
        **fields,
    )


BIG_ADAPTERS = BIG_LAYERS * lora_params(BIG_LINEARS, 16)
BIG_QUANTIZED = BIG_LAYERS * sum(nf4_bytes(out * inner) for out, inner in BIG_LINEARS)
BIG_UPCAST = 4 * (2 * VOCAB * BIG_HIDDEN + (2 * BIG_LAYERS + 1) * BIG_HIDDEN)
BIG_ROTARY = 2 * 64 * 4


def test_weights_of_a_quantized_70b_model() -> None:
    by_hand = BIG_QUANTIZED + BIG_UPCAST + 4 * BIG_ADAPTERS + BIG_ROTARY
    assert BIG_ADAPTERS == 207_093_760
    assert qlora_70b().weights_bytes == by_hand == pytest.approx(44.55e9, rel=1e-4)


def test_what_the_upcast_of_the_rest_costs_a_70b_model() -> None:
    kept = qlora_70b(quantization={"upcast_unquantized": False})
    assert qlora_70b().weights_bytes - kept.weights_bytes == BIG_UPCAST // 2


def test_peak_of_a_quantized_70b_model() -> None:
    """PHYSICS 1, traced: 54.80e9. The peak falls into the head's backward pass."""
    tokens = 2048
    states = 2 * 4 * BIG_ADAPTERS + 4 * BIG_LAYERS * 7 * 2
    hidden = (BIG_LAYERS + 1) * 4 * tokens * BIG_HIDDEN  # a float32 hidden state a layer, and the last one
    rsqrt = 4 * tokens
    logits = 3 * 4 * tokens * VOCAB  # log-softmax, and the gradients of the loss and of the log-softmax
    tables = 2 * 4 * tokens * 128 + 8 * tokens  # cos, sin, position ids
    by_hand = BIG_QUANTIZED + BIG_UPCAST + 4 * BIG_ADAPTERS + BIG_ROTARY + states + hidden + rsqrt + logits + tables
    answer = qlora_70b()
    assert answer.peak_phase == "backward_head"
    assert answer.peak_bytes == by_hand == pytest.approx(54.80e9, rel=1e-4)


def test_a_small_model_with_a_large_vocabulary_takes_more_in_qlora_than_in_lora() -> None:
    request = {"model": "google/gemma-3-270m", "max_length": 64, "lora": {"r": 4}}
    assert plan(method="qlora", **request).weights_bytes > plan(method="lora", **request).weights_bytes


# -- optimizers ------------------------------------------------------------------------------------------------------


def test_full_fine_tuning_in_bf16_takes_10_bytes_a_parameter_at_the_optimizer_step() -> None:
    """Weights 2, gradients 2, states 4, and foreach's copy of the square roots 2; 6 between steps."""
    answer = plan(device="cuda", optim="adamw_torch", max_length=64, gradient_checkpointing=True)
    workspace = 4096 * 1024 * 2 + 16 * 1024 * 8 + 2 * 8 * 64  # cuBLAS; ids and labels of 64 tokens
    assert answer.peak_phase == "optimizer_step"
    assert answer.peak_bytes == 10 * SMALL_PARAMS + SMALL_ROTARY + workspace
    assert answer.steady_bytes == 6 * SMALL_PARAMS + SMALL_ROTARY + workspace


def test_a_fused_optimizer_makes_no_copy() -> None:
    answer = plan(device="cuda", optim="adamw_torch_fused", max_length=64, gradient_checkpointing=True)
    tensors = LAYERS * 9 + 2
    at_step = in_phase(answer, "optimizer_step", "gradients") + in_phase(answer, "optimizer_step", "optimizer")
    assert at_step == 6 * SMALL_PARAMS + 4 * tensors
    assert in_phase(answer, "optimizer_step", "workspace") == in_phase(answer, "between_steps", "workspace")


def test_full_fine_tuning_with_float32_weights_takes_16_bytes_a_parameter() -> None:
    """Weights 4, gradients 4, states 8: the figure of the textbooks, and 4 more for foreach's copy."""
    fields = {"device": "cuda", "dtype": "float32", "mixed_precision": "bf16", "max_length": 64}
    fused, foreach = plan(optim="adamw_torch_fused", **fields), plan(optim="adamw_torch", **fields)
    for answer, copies in ((fused, 0), (foreach, 4)):
        counters = 4 * (LAYERS * 9 + 2) if answer is fused else 0
        at_step = sum(in_phase(answer, "optimizer_step", c) for c in ("weights", "gradients", "optimizer"))
        assert at_step == 16 * SMALL_PARAMS + SMALL_ROTARY + counters
        workspace = [in_phase(answer, p, "workspace") for p in ("optimizer_step", "between_steps")]
        assert workspace[0] - workspace[1] == copies * SMALL_PARAMS


def adam_8bit(numel: int) -> int:
    """Two states of a byte an element and a float32 for each block of 256; under 4,096 elements 32 bits."""
    return 2 * (numel + 4 * -(-numel // 256)) if numel >= 4096 else 2 * 4 * numel


def test_states_of_8_bit_adam() -> None:
    matrices = [HIDDEN * HIDDEN] * 2 + [KEYS * HIDDEN] * 2 + [WIDE * HIDDEN] * 3
    norms = [HIDDEN] * 2
    by_hand = adam_8bit(VOCAB * HIDDEN) + LAYERS * sum(map(adam_8bit, matrices + norms)) + adam_8bit(HIDDEN)
    answer = plan(optim="adamw_bnb_8bit")
    assert answer.steady_bytes - answer.weights_bytes == by_hand
    assert by_hand / SMALL_PARAMS == pytest.approx(2.03, abs=0.002)


def test_adamw_of_torch_keeps_states_in_the_dtype_of_the_weights() -> None:
    tensors = LAYERS * 9 + 2
    for dtype, size in (("bfloat16", 2), ("float32", 4)):
        answer = plan(optim="adamw_torch_fused", dtype=dtype)
        assert answer.steady_bytes - answer.weights_bytes == 2 * size * SMALL_PARAMS + 4 * tensors


def test_adafactor_keeps_a_row_and_a_column() -> None:
    shapes = [(HIDDEN, HIDDEN)] * 2 + [(KEYS, HIDDEN)] * 2 + [(WIDE, HIDDEN)] * 2 + [(HIDDEN, WIDE)]
    factors = sum(4 * (rows + columns) for rows, columns in shapes)
    by_hand = LAYERS * (factors + 2 * 4 * HIDDEN) + 4 * (VOCAB + HIDDEN) + 4 * HIDDEN
    scalars = 4 * (LAYERS * 9 + 2)
    answer = plan(optim="adafactor")
    assert answer.steady_bytes - answer.weights_bytes == by_hand + scalars


def test_sgd_without_momentum_keeps_nothing() -> None:
    answer = plan(optim="sgd")
    assert answer.steady_bytes == answer.weights_bytes == 2 * SMALL_PARAMS + SMALL_ROTARY


def test_adamw_on_a_cpu_works_tensor_by_tensor() -> None:
    """The root and its quotient of one tensor, and the quotient of the one before, which a local still names.

    The largest sum: lora_B of up_proj [8192, 16], then lora_A of down_proj [16, 8192].
    """
    answer = plan(method="lora", optim="adamw_torch", lora={"r": 16})
    workspace = [in_phase(answer, p, "workspace") for p in ("optimizer_step", "between_steps")]
    assert workspace[0] - workspace[1] == 3 * 4 * 16 * WIDE


def test_adafactor_works_tensor_by_tensor_in_float32() -> None:
    """Copies of a 16-bit gradient and weight, the square and its sum with eps; the update before is still named.

    The largest sum: the embedding, which comes first.
    """
    answer = plan(optim="adafactor")
    workspace = [in_phase(answer, p, "workspace") for p in ("optimizer_step", "between_steps")]
    assert workspace[0] - workspace[1] == (2 + 2) * 4 * VOCAB * HIDDEN


# -- logits and checkpoints ------------------------------------------------------------------------------------------


def test_the_loss_takes_10_bytes_a_token_and_entry_of_the_vocabulary() -> None:
    """The 16-bit logits, their float32 copy and the float32 log-softmax (PHYSICS: published runs see about 10)."""
    tokens = 4 * 512
    logits = in_phase(plan(max_length=512, per_device_train_batch_size=4), "loss", "logits")
    labels = 2 * 8 * tokens
    assert logits - labels == pytest.approx(10 * tokens * VOCAB, rel=1e-6)


def test_checkpointing_keeps_one_hidden_state_a_layer() -> None:
    """And the final norm: its float32 copy, the normalized and the scaled 16-bit tensor, a number a token.

    The checkpoints hold the rotary tables too: cos and sin, of 64 for each of 512 positions.
    """
    answer = plan(max_length=512, per_device_train_batch_size=4, gradient_checkpointing=True)
    tokens = 4 * 512
    layers, norm, tables = 2 * LAYERS * HIDDEN, (4 + 2 + 2) * HIDDEN + 4, 2 * 2 * 512 * 64
    assert in_phase(answer, "loss", "activations") == tokens * (layers + norm) + tables


def test_eager_attention_keeps_two_tables_of_scores_a_head() -> None:
    """The softmax's float32 result and its 16-bit copy, for 32 heads and S x S pairs (PHYSICS 5)."""
    length = 1024
    kept = {
        attention: in_phase(plan(max_length=length, attn_implementation=attention), "loss", "activations")
        for attention in ("eager", "sdpa")
    }
    assert kept["eager"] - kept["sdpa"] > LAYERS * 32 * length**2 * (4 + 2)
