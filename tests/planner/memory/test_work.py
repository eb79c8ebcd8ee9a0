"""The kernels of a step, on models small enough to count by hand."""

from typing import Any

import numpy as np
import pytest

from planner.estimate import estimate
from planner.memory.work import Work, step_flops, step_work
from planner.prepare import prepare
from planner.schema import PlanRequest, parse_request

HIDDEN, WIDE, LAYERS, HEADS, KV_HEADS, VOCAB = 64, 160, 3, 4, 2, 500
HEAD_DIM = HIDDEN // HEADS
LLAMA = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "vocab_size": VOCAB,
}
BATCH, LENGTH = 2, 32
TOKENS = BATCH * LENGTH
#: Weights of one layer's linears, and of the head.
LINEARS = HIDDEN * (2 * HEADS * HEAD_DIM + 2 * KV_HEADS * HEAD_DIM) + 3 * HIDDEN * WIDE
HEAD = HIDDEN * VOCAB
ATTENTION = 2 * 2 * BATCH * HEADS * LENGTH * LENGTH * HEAD_DIM


def request(method: str = "full", **fields: Any) -> PlanRequest:
    sizes = {"per_device_train_batch_size": BATCH, "max_length": LENGTH}
    return parse_request({"model": LLAMA, "method": method} | sizes | fields)


def work_of(asked: PlanRequest, batch: Any = BATCH, length: Any = LENGTH) -> tuple[Work, ...]:
    stacked, prepared = prepare(asked)
    return step_work(prepared, stacked.request, batch, length)


def flops_of(asked: PlanRequest, batch: Any = BATCH, length: Any = LENGTH) -> Any:
    stacked, prepared = prepare(asked)
    return step_flops(prepared, stacked.request, batch, length)


def flops(works: tuple[Work, ...], **wanted: str) -> Any:
    return sum(w.count * w.flops for w in works if all(getattr(w, name) == value for name, value in wanted.items()))


def test_full_is_three_times_the_forward() -> None:
    forward = 2 * TOKENS * (LAYERS * LINEARS + HEAD)
    attention = LAYERS * ATTENTION
    assert flops_of(request()) == 3 * forward + attention + 5 * attention // 2


def test_frozen_weights_have_no_gradient_product() -> None:
    """LoRA: gradients of inputs, but for the first layer's q, k, v, whose input needs none; and both of A and B."""
    rank, first = 8, HIDDEN * (HEADS + 2 * KV_HEADS) * HEAD_DIM
    sides = {
        "q": (HIDDEN, HIDDEN), "k": (HIDDEN, KV_HEADS * HEAD_DIM), "v": (HIDDEN, KV_HEADS * HEAD_DIM),
        "o": (HIDDEN, HIDDEN), "gate": (HIDDEN, WIDE), "up": (HIDDEN, WIDE), "down": (WIDE, HIDDEN),
    }  # fmt: skip
    adapters = sum(rank * (inner + out) for inner, out in sides.values())
    of_first_inputs = sum(rank * sides[name][0] for name in "qkv")
    forward = LAYERS * (LINEARS + adapters) + HEAD
    backward = LAYERS * (LINEARS + 2 * adapters) + HEAD - first - of_first_inputs
    attention = LAYERS * ATTENTION * 7 // 2
    assert flops_of(request("lora", lora={"r": rank})) == 2 * TOKENS * (forward + backward) + attention


def test_checkpointing_recomputes_layers_up_to_what_backward_needs() -> None:
    """Early stop: the last tensor that a layer saves is the input of down_proj, whose product is not run again."""
    recomputed = work_of(request(gradient_checkpointing=True))
    without = 2 * TOKENS * (LINEARS - HIDDEN * WIDE)
    assert flops(recomputed, phase="recompute") == LAYERS * (without + ATTENTION)
    reentrant = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
    assert flops(work_of(request(**reentrant)), phase="recompute") == LAYERS * (2 * TOKENS * LINEARS + ATTENTION)


def test_the_parts_add_up_to_the_steps_flops() -> None:
    for method in ("full", "lora", "qlora"):
        asked = request(method, gradient_accumulation_steps=4)
        assert 4 * flops(work_of(asked)) == flops_of(asked) == estimate(asked).flops_per_step


def test_sizes_of_a_product_give_its_operations() -> None:
    for work in work_of(request("qlora")):
        if work.kind == "matmul":
            assert work.flops == 2 * work.m * work.n * work.k
        elif work.kind != "attention":
            assert work.flops == 0
        assert work.bytes > 0 and work.count > 0


def test_causal_order_masks_almost_half() -> None:
    pairs = LENGTH * (LENGTH - 1) / 2
    for work in work_of(request()):
        if work.kind == "attention":
            assert work.masked_flops == pytest.approx(work.flops * pairs / LENGTH**2, rel=1e-9)


def test_what_is_quantized_is_dequantized_forward_and_backward() -> None:
    weights = LAYERS * LINEARS
    first = HIDDEN * (HEADS + 2 * KV_HEADS) * HEAD_DIM
    for phase, number in (("forward", weights), ("backward", weights - first)):
        found = sum(w.count * w.bytes for w in work_of(request("qlora")) if (w.kind, w.phase) == ("dequantize", phase))
        # codes, constants restored (1 + 4 bytes a block of 64), constants read, 16-bit weights
        assert found == number / 2 + number // 64 * (1 + 4 + 4) + number * 2


def test_arrays_say_what_numbers_say() -> None:
    batches, lengths = np.array([2, 3, 8]), np.array([32, 100, 64])
    together = flops_of(request("lora"), batches, lengths)
    alone = [flops_of(request("lora"), int(b), int(s)) for b, s in zip(batches, lengths, strict=True)]
    assert together.tolist() == pytest.approx(alone, rel=1e-12)
    arrays = flops(work_of(request("lora"), batches, lengths))
    assert arrays.tolist() == pytest.approx(alone, rel=1e-12)


def test_tensor_parallel_divides_the_products() -> None:
    asked = request(num_gpus=2, parallelism={"tensor_parallel_size": 2})
    assert 2 * flops(work_of(asked)) == flops_of(asked) == flops_of(request())


def test_data_parallel_devices_add_up() -> None:
    assert flops_of(request(num_gpus=4, parallelism={"strategy": "ddp"})) == 4 * flops_of(request())


def test_context_parallel_meets_all_keys() -> None:
    asked = request(num_gpus=2, parallelism={"context_parallel_size": 2})
    assert 2 * flops(work_of(asked)) == flops_of(asked) == flops_of(request())


def test_a_prompt_lengthens_the_sequence() -> None:
    longer = request("prompt_tuning", prompt={"num_virtual_tokens": 16})
    same = request("prompt_tuning", prompt={"num_virtual_tokens": 8})
    assert flops_of(longer, BATCH, LENGTH) == flops_of(same, BATCH, LENGTH + 8)


HEAD_WORK = 2 * TOKENS * HEAD


@pytest.mark.parametrize("loss", ["full", "chunked", "fused"])
def test_every_loss_has_the_heads_three_products(loss: str) -> None:
    """Logits, the gradient of hidden states, that of the head; the fused kernel makes all of them in forward."""
    works = work_of(request(loss=loss))
    body = flops(work_of(request()))
    assert flops(works) == body
    in_forward = flops(works, phase="forward") - flops(work_of(request()), phase="forward")
    assert in_forward == (2 * HEAD_WORK if loss == "fused" else 0)


def test_trls_fused_head_makes_its_logits_twice_and_scores_one_token_less() -> None:
    scored = 2 * BATCH * (LENGTH - 1) * HEAD
    asked = request(stack="trl", loss="chunked", gradient_checkpointing=False)
    assert flops(work_of(asked)) == flops(work_of(request())) - 3 * HEAD_WORK + 4 * scored
