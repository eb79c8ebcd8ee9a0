"""Gradients and optimizer states, tensor by tensor, exact to the byte; and what the optimizer's step needs besides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from planner.memory.inventory import Item
from planner.memory.live import ITEMSIZE
from planner.optimizers import Optimizer

#: bitsandbytes keeps tensors of fewer elements in 32 bits (optim/optimizer.py, min_8bit_size).
MIN_8BIT_NUMEL = 4096
BLOCK_8BIT = 256
#: torchao's AdamW4bit: elements a scale, and the float32 map of its 16 codes.
BLOCK_4BIT, MAP_4BIT_BYTES = 128, 64
#: bitsandbytes pages only states of at least this many elements (optim/optimizer.py get_state_buffer).
MIN_PAGED_NUMEL = 100_000
SCALAR_BYTES = 4


@dataclass(frozen=True, slots=True)
class StateBytes:
    """Bytes of all optimizer states of a run, by kind; `paged` is the part that lives in managed memory."""

    moments: int
    constants: int
    scalars: int
    paged: int

    @property
    def total(self) -> int:
        return self.moments + self.constants + self.scalars


def gradient_bytes(items: Sequence[Item]) -> int:
    """Every trainable parameter that the batch reaches has a gradient of its own dtype."""
    return sum(i.elements * ITEMSIZE[i.dtype] for i in items if i.has_gradient)


def state_bytes(optimizer: Optimizer, items: Sequence[Item], device: str) -> StateBytes:
    """Optimizer states of all tensors that get a gradient.

    Source: torch 2.13 optim/adamw.py (zeros_like of the parameter), bitsandbytes 0.50 optim/optimizer.py
    (init_state), transformers 5.23 optimization.py (Adafactor).
    """
    moments = constants = scalars = paged = 0
    for item in items:
        if not item.has_gradient:
            continue
        moments += moment_bytes(optimizer, item) * item.count
        constants += constant_bytes(optimizer, item) * item.count
        scalars += scalar_bytes(optimizer, device) * item.count
        if optimizer.paged and item.numel >= MIN_PAGED_NUMEL:
            paged += moment_bytes(optimizer, item) * item.count
    return StateBytes(moments, constants, scalars, paged)


def moment_bytes(optimizer: Optimizer, item: Item) -> int:
    """Bytes of the states of one tensor, without block constants."""
    if optimizer.state_format == "factored":
        return _factored_bytes(item)
    if optimizer.state_format == "blockwise_4bit" and _in_4_bits(item):
        return optimizer.num_states * (item.numel // 2)
    if optimizer.state_format in ("parameter", "blockwise_4bit"):
        return optimizer.num_states * item.numel * ITEMSIZE[item.dtype]
    eight_bit = optimizer.state_format == "blockwise_8bit" and item.numel >= MIN_8BIT_NUMEL
    return optimizer.num_states * item.numel * (1 if eight_bit else 4)


def _in_4_bits(item: Item) -> bool:
    """torchao 0.18 optim/adam.py _new_buffer."""
    return item.numel >= MIN_8BIT_NUMEL and item.numel % BLOCK_4BIT == 0


def constant_bytes(optimizer: Optimizer, item: Item) -> int:
    """One float32 absmax a block of 256 elements of an 8-bit state; a scale a block of 128 of a 4-bit one, and its map.

    Source: bitsandbytes 0.50 optim/optimizer.py; torchao 0.18 optim/subclass_4bit.py OptimState4bit.zeros.
    """
    if optimizer.state_format == "blockwise_4bit" and _in_4_bits(item):
        return optimizer.num_states * (item.numel // BLOCK_4BIT * 4 + MAP_4BIT_BYTES)
    if optimizer.state_format != "blockwise_8bit" or item.numel < MIN_8BIT_NUMEL:
        return 0
    return optimizer.num_states * -(-item.numel // BLOCK_8BIT) * 4


def scalar_bytes(optimizer: Optimizer, device: str) -> int:
    """torch's AdamW keeps a float32 `step` a tensor, on the device only where the kernel is fused; Adafactor an RMS."""
    if optimizer.state_format == "factored":
        return SCALAR_BYTES
    on_device = optimizer.kernel == "fused" or device == "cpu"
    return SCALAR_BYTES if optimizer.name.startswith("adamw_torch") and on_device else 0


def _factored_bytes(item: Item) -> int:
    """Adafactor (Shazeer and Stern 2018, algorithm 4): a row and a column of float32 for a matrix."""
    if len(item.shape) < 2:
        return item.numel * 4
    *batch, rows, columns = item.shape
    return prod(batch) * (rows + columns) * 4


def step_workspace_bytes(optimizer: Optimizer, items: Sequence[Item], device: str) -> int:
    """Temporaries of optimizer.step() at their largest.

    torch's foreach AdamW takes the square root of all second moments at once: one copy of that list
    (optim/adamw.py _multi_tensor_adamw); on the CPU it goes tensor by tensor (_single_tensor_adamw).
    """
    trainable = [i for i in items if i.has_gradient]
    if optimizer.name == "adamw_torch":
        if device == "cpu":
            return _tensor_by_tensor(trainable, _adamw_bytes)
        return gradient_bytes(items)
    if optimizer.state_format == "factored":
        return _tensor_by_tensor(trainable, _adafactor_bytes)
    return 0


def _tensor_by_tensor(trainable: Sequence[Item], needs: Callable[[Item], tuple[int, int]]) -> int:
    """The largest sum of what one tensor's update needs and what a local still names of the tensor before it.

    In the order of model.parameters(), as far as it matters: embeddings, layers (twice, for the step from the last
    tensor of one to the first of the next), what stands after them.
    """
    layers = [i for i in trainable if ".*." in i.name]
    first = [i for i in trainable if i.role == "embedding"]
    rest = [i for i in trainable if ".*." not in i.name and i.role != "embedding"]
    largest = before = 0
    for item in (*first, *layers, *layers, *rest):
        needed, left = needs(item)
        largest, before = max(largest, before + needed), left
    return largest


def _adamw_bytes(item: Item) -> tuple[int, int]:
    """_single_tensor_adamw: the square root of the second moment and its quotient, `denom`, which stays named."""
    size = item.numel * ITEMSIZE[item.dtype]
    return 2 * size, size


def _adafactor_bytes(item: Item) -> tuple[int, int]:
    """float32 copies of a 16-bit gradient and weight, the gradient's square and its sum with eps; `update` stays."""
    copies = 0 if item.dtype == "float32" else 2
    return (copies + 2) * item.numel * 4, item.numel * 4
