"""T5: what layers of both stacks keep, counted by hand from transformers' code, and what they share.

Full fine-tuning in bfloat16 on the CPU, no padding: 2 bytes an element unless said otherwise.
"""

from typing import Any

import pytest

from planner.architecture.read import read_architecture
from planner.estimate import estimate
from planner.memory.evaluated import Layer
from planner.memory.inventory import resolve_setup
from planner.memory.layout import build_step
from planner.memory.step import Step
from planner.schema import parse_request

BATCH, LENGTH, HIDDEN, HEADS, HEAD_DIM, WIDE = 2, 16, 32, 4, 16, 64
TOKENS, QUERIES = BATCH * LENGTH, HEADS * HEAD_DIM
SCORES = BATCH * HEADS * LENGTH * LENGTH
BIAS = HEADS * LENGTH * LENGTH * 2
ENCODER, DECODER = 0, 1
T5: dict[str, Any] = {
    **{"model_type": "t5", "vocab_size": 100, "d_model": HIDDEN, "d_kv": HEAD_DIM, "d_ff": WIDE, "num_heads": HEADS},
    **{"num_layers": 3, "feed_forward_proj": "relu", "dropout_rate": 0.0},
}


def fields(config: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
    batch = {"per_device_train_batch_size": BATCH, "max_length": LENGTH}
    return {"model": {**T5, **(config or {})}, "method": "full", "device": "cpu", **batch, **settings}


def step(config: dict[str, Any] | None = None, **settings: Any) -> Step:
    """A step of a small model of three layers a stack."""
    request = parse_request(fields(config, **settings))
    assert isinstance(request.model, dict)
    architecture = read_architecture(request.model)
    return build_step(request, architecture, resolve_setup(request, architecture), BATCH, LENGTH)


def layers(stack: int, config: dict[str, Any] | None = None, **settings: Any) -> list[Layer]:
    return [layer for layer, count in step(config, **settings).stacks[stack] for _ in range(count)]


def bf16(width: int) -> int:
    """Bytes of a tensor that is so wide for each token."""
    return TOKENS * width * 2


#: The input and its float32 copy, 1/rms of each row, the normalized input in 16 bits.
NORM = bf16(HIDDEN) + TOKENS * HIDDEN * 4 + TOKENS * 4 + bf16(HIDDEN)
#: What the projections read; float32 copies of queries, keys and values, softmax; the output, laid out for the next.
ATTENTION = bf16(HIDDEN) + 3 * TOKENS * QUERIES * 4 + SCORES * 4 + bf16(QUERIES)
MLP = bf16(HIDDEN) + bf16(WIDE)  # its input, and relu's result
DROPPED = bf16(HIDDEN)  # the mask of a residual dropout


def test_an_encoder_layer_takes_the_math_path_for_a_bias_with_a_gradient() -> None:
    assert layers(ENCODER)[1].kept == 2 * NORM + ATTENTION + MLP


def test_dropout_keeps_masks_and_its_results() -> None:
    dropout = 2 * DROPPED + 2 * bf16(WIDE) + SCORES * (4 + 4)
    assert layers(ENCODER, {"dropout_rate": 0.1})[1].kept == 2 * NORM + ATTENTION + MLP + dropout


def test_a_decoder_layer_adds_a_causal_mask_and_fused_attention_to_the_encoder() -> None:
    # zeros for the bias of cross-attention require no gradient: q, k, v, output, log-sum-exp; the zeros are the mask
    cross = bf16(HIDDEN) + 4 * bf16(QUERIES) + BATCH * HEADS * LENGTH * 4
    causal = LENGTH * LENGTH
    assert layers(DECODER)[1].kept == 3 * NORM + ATTENTION + MLP + causal + cross


def test_a_gated_mlp_keeps_gate_and_up_and_their_product() -> None:
    # gelu_new: up, 0.5 * up, tanh, 1 + tanh, the product; then the other projection and what both make
    gated = {"feed_forward_proj": "gated-gelu"}
    assert layers(ENCODER, gated)[1].kept - layers(ENCODER)[1].kept == bf16(6 * WIDE)


def test_the_first_layer_keeps_buckets_of_positions_besides() -> None:
    first, second, _ = layers(ENCODER)
    assert first.kept - second.kept == LENGTH * LENGTH * 8


def test_the_bias_lives_as_long_as_its_stack_runs_forward() -> None:
    first, second, _ = layers(ENCODER)
    assert first.saved - first.passed == BIAS
    assert second.saved == second.passed


def test_checkpoints_of_later_layers_hold_the_bias_until_their_backward() -> None:
    first, second, last = layers(ENCODER, gradient_checkpointing=True)
    assert second.kept == last.kept == bf16(HIDDEN)
    assert first.kept == bf16(HIDDEN) + BIAS
    assert first.gradients == layers(ENCODER)[0].gradients


def test_the_encoders_output_is_counted_once_by_the_first_decoder_layer() -> None:
    # it is a local of the model's forward; with adapters on the queries alone nothing keeps it afterwards
    queries = {"method": "lora", "lora": {"r": 2, "target_modules": ["q"]}}
    first, second, _ = layers(DECODER, **queries)
    assert first.passed - first.kept == bf16(HIDDEN)
    assert second.passed == second.kept


def test_the_cross_bias_requires_a_gradient_where_checkpointing_is_on() -> None:
    # zeros and their gradient stay with the graph to the end of backward
    without, checkpointed = layers(DECODER)[0], layers(DECODER, gradient_checkpointing=True)[0]
    assert checkpointed.gradients - without.gradients == 2 * BIAS


def test_the_last_layers_backward_has_no_gradients_of_later_ones() -> None:
    _, second, last = layers(ENCODER)
    assert second.kept == last.kept
    assert second.backward > last.backward


def test_a_gradient_of_the_encoders_output_waits_for_the_first_decoder_layer() -> None:
    whole = step()
    moments = [m for m in whole.moments() if m.phase == "backward layers"]
    assert len(whole.tape.entries) == len(whole.stacks) == 2
    assert len(moments) == 3  # the decoder's layers, what stands between the stacks, the encoder's layers


@pytest.mark.parametrize("use_reentrant", [False, True])
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_a_stack_of_one_layer_shares_with_nobody(method: str, use_reentrant: bool) -> None:
    kwargs = {"use_reentrant": use_reentrant}
    settings = {"method": method, "gradient_checkpointing": True, "gradient_checkpointing_kwargs": kwargs}
    (layer,) = layers(ENCODER, {"num_layers": 1}, **settings)
    assert layer.kept == (bf16(HIDDEN) if method != "qlora" else 2 * bf16(HIDDEN))


def test_t5_is_exact_and_an_untied_head_has_its_own_weight() -> None:
    tied, untied = estimate(parse_request(fields())), estimate(parse_request(fields({"tie_word_embeddings": False})))
    assert tied.certainty == untied.certainty == "exact"
    assert untied.weights_bytes - tied.weights_bytes == 100 * HIDDEN * 2
