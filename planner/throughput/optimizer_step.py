"""The optimizer's step: bytes that it reads and writes, kernels that it starts."""

from dataclasses import dataclass
from functools import lru_cache

from planner.identity import Same
from planner.memory.inventory import Item
from planner.memory.live import ITEMSIZE
from planner.memory.moments import Static
from planner.memory.states import constant_bytes, moment_bytes
from planner.optimizers import Optimizer
from planner.parallelism import DEEPSPEED
from planner.schema import PlanRequest

#: torch's foreach AdamW reads and writes, in tensors: decay 2, lerp 3, mul 2, addcmul 3, sqrt 2, div 2, add 2,
#: addcdiv 4 (torch 2.13 optim/adamw.py _multi_tensor_adamw).
FOREACH_ADAMW_PASSES = 20
#: transformers' Adafactor, bytes an element: float32 copies of gradient and weight, the square, its means over rows
#: and columns, the update scaled three times (transformers 5.23 optimization.py Adafactor.step).
ADAFACTOR_BYTES = 72
#: Clipping reads every gradient for its norm, then reads and writes it (Trainer's max_grad_norm 1.0;
#: torch 2.13 nn/utils/clip_grad.py).
CLIPPING_PASSES = 3
#: DeepSpeed makes float32 gradients of 16-bit ones and 16-bit weights of its masters
#: (DeepSpeed 0.19 runtime/zero/stage_1_and_2.py step).
DEEPSPEED_COPY_BYTES = 12
#: Kernels a tensor: foreach and fused kernels take many tensors at once, and Python handles each.
CALLS = {"fused": 1, "foreach": 2, "single": 4}


@dataclass(frozen=True, slots=True)
class Update:
    """One device's update: bytes of memory traffic and calls; elements that it updates."""

    bytes: int
    calls: int
    elements: int


def update_of(request: PlanRequest, static: Static) -> Update:
    """What one optimizer step of a device's share reads and writes, gradient clipping included."""
    return _update(Same(static), request.parallelism.strategy in DEEPSPEED)


@lru_cache(maxsize=1024)
def _update(its_static: Same[Static], in_deepspeed: bool) -> Update:
    static = its_static.of
    trained = [item for item in static.trained if item.has_gradient]
    elements = sum(item.elements for item in trained)
    traffic = sum(_traffic(static.optimizer, item) * item.count for item in trained)
    if in_deepspeed:
        traffic += DEEPSPEED_COPY_BYTES * elements
    tensors = sum(item.count for item in trained)
    calls = tensors * (CALLS[static.optimizer.kernel] + 2)
    return Update(traffic + CLIPPING_PASSES * static.gradients, calls, elements)


def _traffic(optimizer: Optimizer, item: Item) -> int:
    """Bytes that the update of one tensor reads and writes: once each where one kernel does it all."""
    size = item.numel * ITEMSIZE[item.dtype]
    if optimizer.state_format == "factored":
        return ADAFACTOR_BYTES * item.numel
    if optimizer.kernel == "foreach" and optimizer.num_states == 2:
        return FOREACH_ADAMW_PASSES * size
    return 3 * size + 2 * (moment_bytes(optimizer, item) + constant_bytes(optimizer, item))
