"""The model in the units in which it is loaded: every layer one, and what is outside of the layers, the root."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup, block_items
from planner.memory.live import ITEMSIZE
from planner.memory.sharding import outside
from planner.schema import PlanRequest


@dataclass(frozen=True, slots=True)
class LoadUnit:
    """Layers alike: the tensors of one of them, and how many there are."""

    items: tuple[Item, ...]
    count: int

    def flattened(self, setup: Setup) -> list[int]:
        """Bytes of the tensors that FSDP1 puts into one flat parameter, in order; constants of 4-bit codes stay apart.

        Adapters are units of their own (PEFT's fsdp_auto_wrap_policy) but where a block is wrapped as a whole.
        """
        whole = setup.fsdp == "flat_blocks" or setup.train_base
        items = (item for item in self.items if item.role != "buffer" and (whole or not item.trainable))
        return [value_bytes(item, setup) for item in items for _ in range(item.count)]

    def apart(self, setup: Setup) -> list[int]:
        """Bytes of the tensors that are flat parameters by themselves."""
        if setup.fsdp == "flat_blocks" or setup.train_base:
            return []
        return [value_bytes(item, setup) for item in self.items if item.trainable for _ in range(item.count)]


def load_units(
    request: PlanRequest, architecture: Architecture, items: Sequence[Item], setup: Setup
) -> Iterator[LoadUnit]:
    """The layers in the order of the model, then the root."""
    rank = request.lora_settings.r if request.lora_settings else 0
    for block in architecture.blocks:
        yield LoadUnit(tuple(_one_layer(block_items(block, setup, rank), block.count)), block.count)
    yield LoadUnit((*outside(architecture, items), *(item for item in items if item.role == "buffer")), 1)


def value_bytes(item: Item, setup: Setup) -> int:
    """Bytes of a tensor's values as they are kept, without the constants of quantized ones."""
    if item.role == "linear_4bit":
        assert setup.storage is not None
        return setup.storage.codes_bytes(item.shape, item.numel)
    return item.numel * ITEMSIZE[item.dtype]


def _one_layer(items: Sequence[Item], layers: int) -> Iterator[Item]:
    for item in items:
        yield replace(item, count=item.count // layers)
