"""What a replay is made of: the blocks of a part at work, and of parameters that stay whole on the device."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence

from planner.memory.allocator import Block, CachingAllocator
from planner.memory.evaluated import Part
from planner.memory.inventory import Item, Setup, stored_bytes
from planner.memory.live import ITEMSIZE, Key, Live, Monomial
from planner.memory.loading import LoadUnit
from planner.memory.moments import Static
from planner.memory.replay_load import quantize
from planner.memory.states import constant_bytes, moment_bytes


class Owner:
    """One part of the model at work: the blocks of its live tensors."""

    def __init__(self, part: Part, allocator: CachingAllocator):
        self._part, self._allocator = part, allocator
        self._live: dict[tuple[str, Monomial], deque[tuple[int, Block]]] = defaultdict(deque)

    def replay(self, events: list[tuple[Key, int]]) -> None:
        """Births and ends in order; a tensor that is counted elsewhere from now on stays where it is."""
        skip = False
        for i, ((label, _, monomial), change) in enumerate(events):
            if skip:
                skip = False
            elif change > 0:
                self._born((label, monomial), change)
            elif i + 1 < len(events) and _moves(events[i], events[i + 1]):
                skip = True
            else:
                self._end((label, monomial), -change)

    def keep(self, live: Live) -> None:
        """Let go of all but this."""
        wanted: dict[tuple[str, Monomial], int] = defaultdict(int)
        for (label, _, monomial), coefficient in live.items():
            wanted[label, monomial] += coefficient
        for key, blocks in self._live.items():
            excess = sum(coefficient for coefficient, _ in blocks) - wanted[key]
            while blocks and excess > 0:
                coefficient, block = blocks.pop()
                self._allocator.free(block)
                excess -= coefficient

    def _born(self, key: tuple[str, Monomial], coefficient: int) -> None:
        num_bytes = coefficient * self._part.sizes[key[1]]
        if num_bytes:
            self._live[key].append((coefficient, self._allocator.malloc(num_bytes)))

    def _end(self, key: tuple[str, Monomial], coefficient: int) -> None:
        blocks = self._live[key]
        for place, (born, block) in enumerate(blocks):
            if born == coefficient:
                del blocks[place]
                self._allocator.free(block)
                return


def _moves(gone: tuple[Key, int], new: tuple[Key, int]) -> bool:
    """Whether a tensor changes its category (graph.py Storage.move)."""
    (label, _, monomial), change = gone
    return new[1] == -change and new[0][0] == label and new[0][2] == monomial


class Whole:
    """Parameters that stay whole on the device: nothing is gathered or reduced as the layers run."""

    def __init__(self, allocator: CachingAllocator, static: Static, setup: Setup):
        self.allocator, self.static, self._setup = allocator, static, setup

    def load(self, units: Sequence[LoadUnit]) -> None:
        """Every tensor of the model, layer by layer."""
        for unit in units:
            for item in (item for _ in range(unit.count) for item in unit.items):
                for _ in range(item.count):
                    self._load(item)

    def _load(self, item: Item) -> None:
        if item.role == "linear_4bit" and self._setup.storage is not None and self._setup.storage.quantizes:
            quantize(self.allocator, item, self._setup, to_host=False)
        else:
            self.blocks(stored_bytes(item, self._setup.storage))

    def begin_forward(self) -> None:
        """Before the model's forward."""

    def before_forward(self) -> None:
        """Before a layer's forward."""

    def after_forward(self) -> None:
        """After a layer's forward."""

    def before_backward(self, is_last: bool) -> None:
        """Before a layer's recomputation and backward; is_last: the model's first layer, no other follows."""

    def after_backward(self, owner: Owner, gradients: Live) -> None:
        """After a layer's backward, which leaves these gradients."""
        owner.keep(gradients)

    def end_backward(self, model: Owner) -> None:
        """After the whole backward."""

    def optimizer_step(self, first: bool) -> None:
        """The first one makes the states; torch's foreach AdamW has one copy more of all second moments."""
        optimizer = self.static.optimizer
        trained = list(self._trained())
        if first:
            for state, _, count in trained:
                for _ in range(max(optimizer.num_states, 1)):
                    self.blocks(state // max(optimizer.num_states, 1), count)
        if optimizer.name == "adamw_torch":
            self.release([block for _, size, count in trained for block in self.blocks(size, count)])

    def _trained(self) -> Iterable[tuple[int, int, int]]:
        """Of tensors that the optimizer steps: bytes of all states, bytes of the tensor, how many alike."""
        optimizer = self.static.optimizer
        for item in self.static.trained:
            if item.has_gradient:
                yield moment_bytes(optimizer, item) + constant_bytes(optimizer, item), _size(item), item.count

    def blocks(self, num_bytes: int, count: int = 1) -> list[Block]:
        """So many tensors."""
        return [self.allocator.malloc(num_bytes) for _ in range(count)] if num_bytes else []

    def release(self, blocks: Iterable[Block]) -> None:
        """Their end."""
        for block in blocks:
            self.allocator.free(block)


def _size(item: Item) -> int:
    return item.numel * ITEMSIZE[item.dtype]
