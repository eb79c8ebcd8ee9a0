"""Matrix products that a method adds outside the layers: P-tuning's encoder, AdaLoRA's orthogonality."""

from collections.abc import Iterable, Iterator

from planner.memory.inventory import Item
from planner.memory.kernels import WorkPhase
from planner.schema import PlanRequest

#: phase, m, n, k, how many.
Extra = tuple[WorkPhase, int, int, int, int]


def extra_products(request: PlanRequest, items: Iterable[Item]) -> Iterator[Extra]:
    """Those of one micro-batch, all float32, whatever its size."""
    if request.method == "p_tuning":
        for item in items:
            if "mlp_head" in item.name and len(item.shape) == 2:
                yield from _linear(request.virtual_tokens, *item.shape)
    elif request.method == "adalora":
        for item in items:
            if item.name.endswith(".lora_A"):
                yield from _covariance(item.shape[0], item.shape[1], item.count)
            elif item.name.endswith(".lora_B"):
                yield from _covariance(item.shape[1], item.shape[0], item.count)


def _linear(rows: int, out: int, inner: int) -> Iterator[Extra]:
    """Of the encoder (peft 0.21 p_tuning/model.py): run for one sequence, then repeated (peft_model.py get_prompt)."""
    yield "forward", rows, out, inner, 1
    yield "backward", rows, inner, out, 1
    yield "backward", out, inner, rows, 1


def _covariance(rank: int, width: int, count: int) -> Iterator[Extra]:
    """``norm(A @ A.T - I)`` of every A and B, added to the loss (peft 0.21 adalora/model.py AdaLoraModel.forward)."""
    yield "forward", rank, rank, width, count
    yield "backward", rank, width, rank, 2 * count
