"""Layers of one model on several cards in a row, as `device_map="auto"` puts them there.

transformers 5.23 integrations/accelerate.py: get_balanced_memory gives every card but the last its share of the
weights and 1.25 times the largest layer or module; infer_auto_device_map fills cards in the order of the modules and
leaves room for the largest of those to come on the first one. Sizes are those as loaded: no adapters, no upcast.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE

#: What a quantizer leaves of each card's share (quantizer_bnb_4bit.py and quantizer_bnb_8bit.py adjust_max_memory).
QUANTIZED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class LoadedSizes:
    """Bytes of a model as loaded. layer: one of them in the mean; leaf: the largest single module."""

    embedding: int
    layer: int
    rest: int
    head: int
    leaf: int


@dataclass(frozen=True, slots=True)
class Placement:
    """Layers on each card, in order, and which card has the head; cards after the last one used stay empty."""

    layers: tuple[int, ...]
    head: int


def place(sizes: LoadedSizes, num_layers: int, devices: int, quantized: bool, tied: bool) -> Placement:
    """What each card gets, all of them having room for their share; the last one takes what is left.

    A tied head stands with the embedding on the first card.
    """
    share = (sizes.embedding + num_layers * sizes.layer + sizes.rest + sizes.head) // devices
    share += int(1.25 * max(sizes.layer, sizes.leaf))
    if quantized:
        share = int(share * QUANTIZED_SHARE)
    found: list[int] = []
    for device in range(devices - 1):
        room = share - (sizes.embedding + max(sizes.layer, sizes.head) if device == 0 else 0)
        found.append(min(max(room // sizes.layer, 0), num_layers - sum(found)))
    layers = (*found, num_layers - sum(found))
    if tied:
        return Placement(layers, 0)
    end = max(device for device, number in enumerate(layers) if number)
    taken = layers[end] * sizes.layer + sizes.rest + (sizes.embedding + sizes.head if end == 0 else 0)
    return Placement(layers, end if end == devices - 1 or taken + sizes.head <= share else end + 1)


def loaded_sizes(items: Sequence[Item], setup: Setup, num_layers: int, tied: bool) -> LoadedSizes:
    """Sizes of the parts that are put on cards, of the whole model's tensors; a tied head is part of the embedding."""
    own = [(item, _size(item, setup)) for item in items if item.role != "adapter"]
    outside = [(item, size) for item, size in own if ".*." not in item.name]
    head = 0 if tied else max((size for item, size in outside if item.role.startswith("linear")), default=0)
    embedding = sum(size for item, size in outside if item.role == "embedding")
    return LoadedSizes(
        embedding=embedding,
        layer=sum(size * item.count for item, size in own if ".*." in item.name) // num_layers,
        rest=sum(size * item.count for item, size in outside) - embedding - head,
        head=head,
        leaf=max(size for _, size in own),
    )


def _size(item: Item, setup: Setup) -> int:
    """Bytes of one of these tensors as it is loaded: quantized weights by their bits, others in the load dtype."""
    if item.role == "linear_4bit":
        return item.numel * (setup.storage.bits if setup.storage is not None else 4) // 8
    return item.numel * (ITEMSIZE[item.dtype] if item.role == "buffer" else ITEMSIZE[setup.dtype])
