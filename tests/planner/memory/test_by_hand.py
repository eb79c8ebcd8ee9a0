"""Whole ledgers worked out from the configs' numbers by arithmetic of the test's own, category by category."""

import pytest

from planner.answer import Plan
from planner.estimate import estimate
from planner.schema import parse_request

TOKENS = 1024
IDS_BYTES = 2 * 8 * TOKENS
CUBLAS_HOPPER_BYTES, CUBLAS_BYTES = 32 * 2**20, 8519680


def plan_of(**fields: object) -> Plan:
    return estimate(parse_request(fields))


def categories(plan: Plan) -> dict[str, int]:
    names = ("weights", "gradients", "optimizer", "activations", "logits", "workspace")
    return {name: getattr(plan, f"{name}_bytes") for name in names}


def test_llama_1b_whole_in_16_bits() -> None:
    hidden, inner, layers, heads, kv, vocab = 2048, 8192, 16, 32, 8 * 64, 128256
    linear = layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * inner)
    params = linear + vocab * hidden + (2 * layers + 1) * hidden  # the head is the embedding
    tensors = 1 + layers * 9 + 1
    norm = 4 * hidden + 2 * hidden + 2 * hidden + 4  # in float32, cast back, scaled; one rsqrt a token
    attention = 2 * 2 * hidden + 2 * 2 * kv + 4 * heads  # q and output, k and v, log-sum-exp
    mlp = 4 * 2 * inner  # gate, up, their activation and product
    rotary = 2 * 2 * 64 * TOKENS
    plan = plan_of(model="llama-3.2-1b", method="full", gpu="h100")
    assert plan.total_params == params
    assert categories(plan) == {
        "weights": 2 * params + 4 * 64,
        "gradients": 0,
        "optimizer": 4 * params + 4 * tensors,
        "activations": TOKENS * (layers * (2 * norm + attention + mlp) + norm) + rotary,
        "logits": 3 * 4 * TOKENS * vocab,
        "workspace": CUBLAS_HOPPER_BYTES + IDS_BYTES,
    }


def test_llama_8b_with_adapters_and_checkpoints() -> None:
    hidden, inner, layers, kv, vocab, rank = 4096, 14336, 32, 1024, 128256, 16
    shapes = [(hidden, hidden)] * 2 + [(hidden, kv)] * 2 + [(hidden, inner)] * 3
    adapters = layers * rank * sum(rows + columns for rows, columns in shapes)
    base = layers * sum(rows * columns for rows, columns in shapes) + 2 * vocab * hidden + (2 * layers + 1) * hidden
    plan = plan_of(model="llama-3.1-8b", method="lora", gpu="h100", gradient_checkpointing=True)
    assert plan.trainable_params == adapters
    assert categories(plan) == {
        "weights": 2 * base + 4 * adapters + 4 * 128,
        "gradients": 0,
        "optimizer": 8 * adapters + 4 * layers * 7 * 2,
        # checkpoints, the last norm in float32 with its rsqrt, the table of rotations
        "activations": TOKENS * (layers * 2 * hidden + 4 * hidden + 4) + 2 * 2 * 128 * TOKENS,
        "logits": 3 * 4 * TOKENS * vocab,
        "workspace": CUBLAS_HOPPER_BYTES + IDS_BYTES + 8 * TOKENS,
    }


def nf4_bytes(elements: int, tensors: int) -> int:
    """Half a byte each; a byte a block of 64, 4 bytes a 256 blocks; two tables (16 and 256 floats) and an offset."""
    return elements // 2 + elements // 64 + 4 * elements // 64 // 256 + tensors * (4 * 16 + 4 * 256 + 4)


def test_llama_70b_in_4_bits() -> None:
    hidden, inner, layers, kv, vocab, rank = 8192, 28672, 80, 1024, 128256, 16
    shapes = [(hidden, hidden)] * 2 + [(hidden, kv)] * 2 + [(hidden, inner)] * 3
    adapters = layers * rank * sum(rows + columns for rows, columns in shapes)
    linear, kept = layers * sum(r * c for r, c in shapes), 2 * vocab * hidden + (2 * layers + 1) * hidden
    plan = plan_of(model="llama-3.3-70b", method="qlora", gpu="h100", gradient_checkpointing=True)
    assert categories(plan) == {
        "weights": nf4_bytes(linear, layers * 7) + 4 * kept + 4 * adapters + 4 * 128,
        "gradients": 0,
        "optimizer": 8 * adapters + 4 * layers * 7 * 2,
        # embeddings in float32 make every hidden state float32
        "activations": TOKENS * ((layers + 1) * 4 * hidden + 4) + 2 * 4 * 128 * TOKENS,
        "logits": 3 * 4 * TOKENS * vocab,
        "workspace": CUBLAS_HOPPER_BYTES + IDS_BYTES + 8 * TOKENS,
    }


def test_qwen_7b_by_zero_3_on_eight_cards() -> None:
    hidden, inner, layers, kv, vocab, cards = 3584, 18944, 28, 512, 152064, 8
    linear = layers * (2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * inner) + vocab * hidden
    small = (2 * layers + 1) * hidden + layers * (hidden + 2 * kv)  # norms and biases stay whole
    part = (linear + vocab * hidden + small) // cards
    plan = plan_of(
        **{"model": "qwen2.5-7b", "method": "full", "gpu": "a100", "gradient_checkpointing": True},
        **{"num_gpus": cards, "parallelism": {"strategy": "zero3"}},
    )
    assert plan.peak_phase == "optimizer_step"
    assert categories(plan) == {
        "weights": 2 * (linear + vocab * hidden) // cards + 2 * small + 4 * 128,
        "gradients": 2 * part + (2 + 4) * part,  # flat partitions; in the step flattened once more, and in float32
        "optimizer": (4 + 8) * part + 4,  # masters and states
        "activations": 0,
        "logits": 0,
        "workspace": 2 * 500_000_000 + CUBLAS_BYTES + IDS_BYTES,
    }


def test_mixtral_in_4_bits_with_experts_that_are_linears() -> None:
    hidden, inner, layers, kv, vocab, experts, rank = 4096, 14336, 32, 1024, 32000, 8, 16
    shapes = [(hidden, hidden)] * 2 + [(hidden, kv)] * 2 + [(hidden, inner)] * 3 * experts + [(hidden, experts)]
    adapters = layers * rank * sum(rows + columns for rows, columns in shapes)
    linear, kept = layers * sum(r * c for r, c in shapes), 2 * vocab * hidden + (2 * layers + 1) * hidden
    plan = plan_of(
        **{"model": "mixtral-8x7b", "method": "qlora", "gpu": "a100", "gradient_checkpointing": True},
        stack="transformers@4.45",
    )
    assert plan.peak_phase == "optimizer_step" and plan.trainable_params == adapters
    assert categories(plan) == {
        "weights": nf4_bytes(linear, layers * len(shapes)) + 4 * kept + 4 * adapters + 4 * 128,
        "gradients": 4 * adapters,
        "optimizer": 8 * adapters,  # step counters of foreach are on the host
        "activations": 0,
        "logits": 0,
        "workspace": 4 * adapters + CUBLAS_BYTES + IDS_BYTES,  # foreach's temporaries are as large as the gradients
    }


def test_gemma_2b_whole_without_checkpoints() -> None:
    hidden, inner, layers, heads, kv, head_dim, vocab = 2304, 9216, 26, 8, 1024, 256, 256000
    wide = heads * head_dim
    params = layers * (2 * hidden * wide + 2 * hidden * kv + 3 * hidden * inner) + vocab * hidden
    params += (4 * layers + 1) * hidden
    norm = TOKENS * (2 * 4 * hidden + 4) + 4 * hidden  # in float32, normalized, rsqrt; 1 + weight
    cast = TOKENS * 2 * hidden  # norms before a linear layer keep their output
    scores = heads * TOKENS * TOKENS * (2 + 4 + 2)  # tanh of the capped, softmax in float32, cast back
    attention = TOKENS * 2 * (2 * wide + 2 * wide) + scores  # q and output, keys and values repeated to all heads
    mlp = TOKENS * 4 * 2 * inner
    plan = plan_of(model="gemma-2-2b", method="full", gpu="h100")
    assert plan.total_params == params
    rotary, last = 2 * 2 * head_dim * TOKENS, norm + cast
    assert categories(plan) | {"workspace": 0} == {
        "weights": 2 * params + 4 * 256 + 2,  # tables of rotation, and the embedding's normalizer
        "gradients": 0,
        "optimizer": 4 * params + 4 * (layers * 11 + 2),
        "activations": layers * (4 * norm + 2 * cast + attention + mlp) + last + rotary,
        "logits": (3 * 4 + 2) * TOKENS * vocab,  # the capped logits keep their tanh
        "workspace": 0,
    }


@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_time_is_of_the_order_of_six_operations_a_parameter_and_token_and_cost_is_hours_by_price(method: str) -> None:
    """On an H100, whose dense 16-bit rate is 989e12 a second, between a twentieth and the whole of it is used."""
    plan = plan_of(
        **{"model": "llama-3.1-8b", "method": method, "gpu": "h100", "gradient_checkpointing": True},
        **{"per_device_train_batch_size": 4, "dataset": {"num_tokens": 10**9}},
    )
    assert plan.step_seconds is not None and plan.train_hours is not None and plan.price is not None
    least = (6 if method == "full" else 4) * 8.03e9 * 4 * TOKENS / 989e12
    assert least < plan.step_seconds < 20 * least
    assert plan.train_hours == pytest.approx(10**9 / (4 * TOKENS) * plan.step_seconds / 3600)
    assert plan.cost_usd == pytest.approx(plan.train_hours * plan.price.usd_per_hour)
