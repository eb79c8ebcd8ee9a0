"""One device's training steps through the caching allocator: what the tapes' events make it reserve.

Too slow for a plan (some tens of milliseconds): it derives and checks the closed form of reserved.py.
"""

from collections import defaultdict, deque
from collections.abc import Iterable

from planner.memory.allocator import Block, CachingAllocator
from planner.memory.evaluated import Layer, Part
from planner.memory.inventory import Item, Setup, stored_bytes
from planner.memory.live import ITEMSIZE, Key, Live, Monomial
from planner.memory.moments import Static
from planner.memory.states import constant_bytes, moment_bytes
from planner.memory.step import Step

#: Steps to replay: the second begins with the states and with what the first has cached; nothing grows after it.
STEPS = 2


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


def replay(step: Step, static: Static, setup: Setup, allocator: CachingAllocator, workspace: int) -> CachingAllocator:
    """Load the weights and run two steps; workspace: bytes of cuBLAS. The allocator's peaks are what is asked for."""
    for item in static.items:
        _times(allocator, stored_bytes(item, setup.storage), item.count)
    if workspace:
        allocator.malloc(workspace)
    for number in range(STEPS):
        _one_step(step, static, allocator, first=number == 0)
    return allocator


def _times(allocator: CachingAllocator, num_bytes: int, count: int) -> list[Block]:
    return [allocator.malloc(num_bytes) for _ in range(count)] if num_bytes else []


def _one_step(step: Step, static: Static, allocator: CachingAllocator, first: bool) -> None:
    model, tape = Owner(step.model, allocator), step.tape
    stacks: list[list[tuple[Layer, Owner]]] = []
    held: list[Block] = []
    for entry, runs in zip(tape.entries, step.stacks, strict=True):
        model.replay(entry.forward.section.events)
        stacks.append([])
        for layer in (layer for layer, count in runs for _ in range(count)):
            owner = Owner(layer.part, allocator)
            owner.replay(layer.tape.forward.section.events)
            owner.keep(layer.tape.saved)
            stacks[-1].append((layer, owner))
    model.replay(tape.head.section.events)
    model.replay(tape.backward_head.section.events)
    for entry, stack in zip(reversed(tape.entries), reversed(stacks), strict=True):
        for layer, owner in reversed(stack):
            owner.keep(layer.tape.kept)
            by_hooks = layer.part.total(layer.left) // 2  # hidden states before its backward, their gradient after it
            held += _times(allocator, by_hooks, 1)
            owner.replay(layer.tape.backward.section.events)
            held += _times(allocator, by_hooks, 1)
            owner.keep(layer.tape.gradients)
        model.replay(entry.backward.section.events)
    _optimizer_step(static, allocator, first)
    _release(allocator, held)
    for _, owner in (pair for stack in stacks for pair in stack):
        owner.keep(Live())
    model.keep(Live())


def _optimizer_step(static: Static, allocator: CachingAllocator, first: bool) -> None:
    trained = [item for item in static.trained if item.has_gradient]
    if first:
        for item in trained:
            _states(static, item, allocator)
    if static.optimizer.name == "adamw_torch":
        _release(allocator, [b for item in trained for b in _times(allocator, _size(item), item.count)])


def _states(static: Static, item: Item, allocator: CachingAllocator) -> None:
    """Each state of each tensor is a tensor."""
    total = moment_bytes(static.optimizer, item) + constant_bytes(static.optimizer, item)
    for _ in range(max(static.optimizer.num_states, 1)):
        _times(allocator, total // max(static.optimizer.num_states, 1), item.count)


def _size(item: Item) -> int:
    return item.numel * ITEMSIZE[item.dtype]


def _release(allocator: CachingAllocator, blocks: Iterable[Block]) -> None:
    for block in blocks:
        allocator.free(block)
