"""What one of several devices holds: its share of weights, gradients and states, and buffers in some phases.

A `Buffer` is a term besides: what sharding gathers, reduces or keeps for the time of use. Moments of the step add the
buffers that are live at them. The rules by library are in sharding_fsdp.py, sharding_deepspeed.py, sharding_ddp.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from planner.answer import Category, Certainty, Phase
from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup, block_items
from planner.memory.live import ITEMSIZE
from planner.memory.model_parallel import device_items
from planner.memory.reach import executed_blocks
from planner.parallelism import data_parallel_size
from planner.schema import PlanRequest

#: Moments of the step at which a buffer can be live; the backward of the layers is told apart by how far it is.
FORWARD = ("forward",)
HEAD = ("loss", "backward_head")
FIRST, MIDDLE, LAST = "backward_layers first", "backward_layers middle", "backward_layers last"
LAYERS_BACKWARD = (FIRST, MIDDLE, LAST)
EMBEDDING = ("backward_embedding",)
RUNNING = (*FORWARD, *HEAD, *LAYERS_BACKWARD, *EMBEDDING)
STEP = ("optimizer_step",)
ALWAYS = (*RUNNING, *STEP, "between_steps")

_DTYPES = {"no": None, "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that a device holds besides weights, gradients, states and activations, at some moments of the step."""

    name: str
    category: Category
    bytes: int
    formula: str
    inputs: dict[str, int | float | str]
    at: tuple[str, ...]
    source: str
    certainty: Certainty = "modelled"
    born: Phase = "forward"


@dataclass(frozen=True, slots=True)
class FlatUnits:
    """FSDP1's flat parameters: bytes of the root and of the largest layer as gathered, and of what trains in them.

    layers: how many there are. kept_size, made_size: bytes of an element as a device keeps it and as it is gathered.
    loaded: bytes of the largest layer and of the root together, whole, as they are loaded (loading.py).
    """

    layer: int
    root: int
    trained_layer: int
    trained_root: int
    layers: int
    shards: int
    kept_size: int
    made_size: int
    loaded: int = 0

    @property
    def casts(self) -> bool:
        """Whether a shard is cast before it is gathered."""
        return self.kept_size != self.made_size

    def kept(self, gathered: int) -> int:
        """Bytes of the shard of what takes these when it is gathered."""
        shard: int = share(gathered * self.kept_size // self.made_size, self.shards)
        return shard


@dataclass(frozen=True, slots=True)
class Shares:
    """One device's part of a run.

    weights, gradients, states: the tensors that it keeps of each. devices: over how many the weights are divided.
    buffers: what it holds besides. host_bytes: what the host keeps for it. stepped: what the optimizer takes at once,
    where that is less than all states. unreduced: bytes of gradients that wait whole for the last micro-batch.
    reduced_apart: gradients come out of a stream of their own, whose segments serve nothing else. flat: FSDP1's units.
    """

    weights: tuple[Item, ...]
    gradients: tuple[Item, ...]
    states: tuple[Item, ...]
    devices: int = 1
    buffers: tuple[Buffer, ...] = ()
    host_bytes: int = 0
    stepped: tuple[Item, ...] | None = None
    unreduced: int = 0
    reduced_apart: bool = False
    flat: FlatUnits | None = None

    @property
    def in_step(self) -> tuple[Item, ...]:
        """The tensors that one call of the optimizer's kernel works on."""
        return self.states if self.stepped is None else self.stepped


def buffers_at(buffers: Iterable[Buffer], moment: str) -> int:
    """Bytes of the buffers that are live at a moment."""
    return sum(buffer.bytes for buffer in buffers if moment in buffer.at)


def num_shards(request: PlanRequest) -> int:
    """Devices over which gradients are divided once a layer's backward is done."""
    strategy, data = request.parallelism.strategy, data_parallel_size(request)
    if strategy == "fsdp":
        return data * request.parallelism.context_parallel_size
    if strategy == "hsdp":
        return data * request.parallelism.context_parallel_size // request.num_nodes
    return data if strategy in ("zero2", "zero3") else 1


def share(total: Any, shards: int) -> Any:
    """One device's share, rounded up: shards are padded to equal size."""
    return total if shards == 1 else -(-total // shards)


def by_rows(items: Sequence[Item], shards: int) -> tuple[Item, ...]:
    """Every parameter cut along its first dimension, as FSDP2 does; the first device has the most rows.

    Quantized weights are left whole here: their codes are divided where they are counted, their constants are not.
    """
    return tuple(item if item.role in ("buffer", "linear_4bit") else _rows(item, shards) for item in items)


def _rows(item: Item, shards: int) -> Item:
    rows, *rest = item.shape
    kept = -(-rows // shards)
    if prod(item.shape) != item.numel:
        return replace(item, numel=-(-item.numel // shards))
    return replace(item, numel=kept * prod(rest), shape=(kept, *rest))


def evenly(items: Sequence[Item], shards: int, whole_below: int = 0) -> tuple[Item, ...]:
    """Every parameter cut into equal flat parts, as ZeRO-3 does; small ones stay whole."""
    return tuple(
        item if item.role in ("buffer", "linear_4bit") or item.numel <= whole_below else _part(item, shards)
        for item in items
    )


def _part(item: Item, shards: int) -> Item:
    numel = -(-item.numel // shards)
    return replace(item, numel=numel, shape=(numel,))


def flat(items: Sequence[Item], shards: int, dtype: str = "float32") -> tuple[Item, ...]:
    """All trained parameters in one flat tensor, of which the device has a partition."""
    elements = sum(item.elements for item in items if item.has_gradient)
    partition = -(-elements // shards)
    return (Item("flat partition", "other", partition, 1, dtype, True, (partition,)),) if elements else ()


def computing(request: PlanRequest, setup: Setup) -> Setup:
    """The dtypes that the layers compute in, where sharding casts what it gathers.

    FSDP gathers in the mixed precision's dtype (MixedPrecisionPolicy param_dtype), DeepSpeed casts the whole module
    (runtime/engine.py _configure_distributed_model): no autocast cache is kept of either.
    """
    dtype = _DTYPES[request.mixed_precision]
    if dtype is None or request.parallelism.strategy in ("none", "ddp", "device_map"):
        return setup
    return replace(setup, dtype=dtype, kept_dtype=dtype, adapter_dtype=dtype, stack_adapter_dtype=dtype)


def gathered_size(item: Item, request: PlanRequest, setup: Setup) -> int:
    """Bytes of one tensor of an item when it is whole on a device, constants of quantized weights left out."""
    if item.role == "linear_4bit" and setup.storage is not None:
        return setup.storage.codes_bytes(item.shape, item.numel)
    return item.numel * ITEMSIZE[_DTYPES[request.mixed_precision] or item.dtype]


def layer_sizes(request: PlanRequest, architecture: Architecture, setup: Setup, trained: bool = False) -> list[int]:
    """Bytes of one layer of each kind when it is whole on a device; `trained`: of its trained parameters."""
    rank = request.lora_settings.r if request.lora_settings else 0
    found = []
    for block in executed_blocks(architecture):
        items = device_items(request, architecture, block_items(block, setup, rank))
        items = tuple(item for item in items if item.trainable or not trained)
        found.append(sum(gathered_size(item, request, setup) * item.count for item in items) // block.count)
    return found


def outside(architecture: Architecture, items: Sequence[Item]) -> list[Item]:
    """Parameters that stand outside the layers: embeddings, norms, head."""
    prefixes = tuple({f"{block.prefix}.*." for block in architecture.blocks})
    return [item for item in items if item.role != "buffer" and not item.name.startswith(prefixes)]
