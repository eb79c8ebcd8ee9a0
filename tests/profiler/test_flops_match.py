"""Operations and bytes of a step against what torch runs: torch.utils.flop_counter's count, and operator by operator.

The families of the catalogue in all ways of training: tests/golden/flops.py, tests/planner/memory/test_golden_flops.py.
"""

from collections import Counter
from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from planner.estimate import estimate
from planner.memory.work import step_work
from planner.prepare import prepare
from planner.schema import PlanRequest
from profiler.flops import count_step, on_micro_step
from tests.installed import installed_stack
from tests.profiler.recipes import LLAMA, RECIPES, request

pytestmark = pytest.mark.torch

REENTRANT = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}
METHODS: dict[str, PlanRequest] = {
    "dora, dropout": request(method="dora", lora={"lora_dropout": 0.1}),
    "adalora": request(method="adalora", gradient_checkpointing=True),
    "ia3": request(method="ia3"),
    "prompt tuning": request(method="prompt_tuning", gradient_checkpointing=True),
    "p-tuning": request(method="p_tuning"),
    "saved embeddings and head": request(method="lora", lora={"modules_to_save": ["embed_tokens", "lm_head"]}),
    "one target": request(method="lora", lora={"target_modules": ["down_proj"]}, gradient_checkpointing=True),
    "tied, one sequence, eager, padded": request(
        LLAMA | {"tie_word_embeddings": True},
        per_device_train_batch_size=1, attn_implementation="eager", padding="padded", **REENTRANT,
    ),
}  # fmt: skip
#: Counted as sdpa does, whose backward makes the scores again, or as eager attention before transformers 5.24.
GPTJ = {"model_type": "gptj", "n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8, "vocab_size": 300}
CASES = RECIPES | METHODS | {"gptj of the installed release": request(GPTJ, stack=installed_stack())}


@pytest.mark.parametrize("name", CASES)
def test_the_plan_counts_what_torch_counts(name: str) -> None:
    asked = CASES[name]
    assert estimate(asked).flops_per_step == asked.gradient_accumulation_steps * count_step(asked)


@pytest.mark.parametrize("name", ["full", "lora, reentrant", "qlora, checkpointed", "mixtral lora: experts"])
def test_real_tensors_take_as_many_operations(name: str) -> None:
    assert estimate(CASES[name]).flops_per_step == count_step(CASES[name], fake=False)


QWEN3_NEXT = {
    "model_type": "qwen3_next", "layer_types": ["linear_attention"], "hidden_size": 64, "num_hidden_layers": 1,
    "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 32,
    "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32,
    "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64, "vocab_size": 100,
}  # fmt: skip
MAMBA = {"model_type": "mamba", "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8, "vocab_size": 100}


@pytest.mark.parametrize(
    ("model", "length"), [(MAMBA, 1), (MAMBA, 2), (MAMBA, 5), (QWEN3_NEXT, 100), (QWEN3_NEXT, 192), (QWEN3_NEXT, 320)]
)
def test_every_pass_of_a_recurrence_counts(model: dict[str, Any], length: int) -> None:
    asked = request(model, max_length=length, gradient_checkpointing=length % 2 == 0)
    assert estimate(asked).flops_per_step == count_step(asked)


# -- bytes -----------------------------------------------------------------------------------------------------------

PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "_grouped_mm"}
ATTENTION = {"_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention_for_cpu_backward"}
#: Operators that move nothing.
FREE = {"detach", "_unsafe_view", "empty_like", "new_empty", "new_empty_strided", "set_", "device"}


class Traffic(TorchDispatchMode):
    """Bytes that operators read and write, and how many there are, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in FREE:
            tensors = (t for t in tree_leaves((args, kwargs, out)) if isinstance(t, torch.Tensor))
            self.bytes[name] += sum(t.numel() * t.element_size() for t in tensors)
            self.calls[name] += 1
        return out


@pytest.mark.parametrize("name", ["full", "full float32, checkpointed, sgd", "mixtral lora: experts", "t5, full"])
def test_kernels_move_what_operators_move(name: str) -> None:
    """Products but for the offsets of grouped ones; the rest within a sixth, without masks and random numbers."""
    asked = CASES[name]
    traffic = Traffic()

    def followed(step: Any) -> None:
        with traffic:
            step()

    on_micro_step(asked, followed)
    stacked, prepared = prepare(asked)
    works = step_work(prepared, stacked.request, asked.per_device_train_batch_size, asked.max_length)
    products = [work for work in works if work.kind == "matmul"]
    assert sum(work.count for work in products) == sum(traffic.calls[name] for name in PRODUCTS)
    operands = sum(work.count * work.bytes for work in products)
    assert operands == pytest.approx(sum(traffic.bytes[name] for name in PRODUCTS), rel=1e-4)
    moved = sum(work.count * work.bytes for work in works if work.kind not in ("matmul", "attention"))
    assert moved == pytest.approx(sum(n for op, n in traffic.bytes.items() if op not in PRODUCTS | ATTENTION), rel=0.17)
