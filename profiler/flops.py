"""The floating point operations of a step, counted by torch.utils.flop_counter, with the kernels it does not know.

Counted are matrix products and attention, forward and backward, as they are run: recomputation counts, causal
attention counts as full.  Left out: everything element by element.
Source: torch 2.13 torch/utils/flop_counter.py.
"""

from collections.abc import Callable
from contextlib import nullcontext
from math import prod
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count, sdpa_backward_flop_count, sdpa_flop_count

from planner.schema import PlanRequest

aten = torch.ops.aten
Shape = tuple[int, ...]


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _attention_backward(grad_out: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_backward_flop_count(grad_out, query, key, value))


def _grouped_mm(a: Shape, b: Shape, *_: Any, out_shape: Any = None, **__: Any) -> int:
    """Each row meets one expert's matrix: 2 x rows x inner x columns; where both are stacked by rows, the same."""
    return 2 * prod(a) * b[-1]


def _gemm_4bit(x: Shape, _: Shape, weight: list[int], *__: Any, **___: Any) -> int:
    """bitsandbytes' product with a 4-bit weight of [out, in], one operator in forward."""
    return 2 * prod(x) * weight[0]


def _convolution_backward(grad: Shape, x: Shape, weight: Shape, *options: Any, out_shape: Any = None, **__: Any) -> int:
    """As much as forward for each gradient; torch's own formula takes the weight's of a grouped one as ungrouped."""
    wanted = options[7]
    each = conv_flop_count(list(x), list(weight), list(grad))
    return each * (int(wanted[0]) + int(wanted[1]))


#: torch's own table has CUDA's attention kernels and no grouped products.
FORMULAS: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    aten._grouped_mm: _grouped_mm,
    aten.convolution_backward: _convolution_backward,
}


def count_flops(step: Callable[[], None]) -> int:
    """Run a step and count its operations."""
    with FlopCounterMode(display=False, custom_mapping=FORMULAS | _of_bitsandbytes()) as counter:
        step()
    return int(counter.get_total_flops())


def count_step(request: PlanRequest, fake: bool = True) -> int:
    """Build the model of a request, with fake tensors or real ones, and count one micro-batch's forward and backward.

    Raises what the libraries' code does where it asks for values of fake tensors.
    """
    counts: list[int] = []
    on_micro_step(request, lambda step: counts.append(count_flops(step)), fake)
    return counts[0]


def on_micro_step(request: PlanRequest, follow: Callable[[Callable[[], None]], None], fake: bool = True) -> None:
    """Build the model of a request and hand its forward and backward of one micro-batch to `follow`, which runs it."""
    from profiler.build import build_batch, build_model
    from profiler.configs import build_config
    from profiler.fake import fake_world, make_fake
    from profiler.measure import Unfollowed
    from profiler.step import run_micro_step

    config = build_config(request)
    model = build_model(request, config, device="meta" if fake else "cpu")
    with fake_world() if fake else nullcontext():
        if fake:
            make_fake(model)
        batch = build_batch(request, config.get_text_config().vocab_size)
        follow(lambda: run_micro_step(request, model, batch, Unfollowed()))


def _of_bitsandbytes() -> dict[Any, Callable[..., int]]:
    """Its operators, once the library is loaded: a model that it quantized has loaded it."""
    operator = getattr(torch.ops.bitsandbytes, "gemm_4bit", None)
    return {} if operator is None else {operator: _gemm_4bit}


def matmul_flops_per_second(dtype: torch.dtype, device: str, size: int = 1024, seconds: float = 0.2) -> float:
    """What this device reaches in a large square matrix product: the ceiling that a step is held against."""
    import time

    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    torch.mm(a, b)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        torch.mm(a, b)
        if device != "cpu":
            torch.accelerator.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best
