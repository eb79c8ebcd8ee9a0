"""One device's training steps through the caching allocator: what the tapes' events make it reserve.

Too slow for a plan (some tens of milliseconds): it derives and checks the closed form of reserved.py.
"""

from collections.abc import Sequence

from planner.memory.allocator import Block, CachingAllocator
from planner.memory.evaluated import Layer
from planner.memory.inventory import Setup
from planner.memory.live import Live
from planner.memory.loading import LoadUnit
from planner.memory.moments import Static
from planner.memory.replay_flat import Flat
from planner.memory.replay_parts import Owner, Whole
from planner.memory.step import Step

#: Steps to replay: the second begins with the states and with what the first has cached; nothing grows after it.
STEPS = 2


def replay(
    step: Step,
    static: Static,
    setup: Setup,
    units: Sequence[LoadUnit],
    allocator: CachingAllocator,
    workspace: int,
    reentrant: bool = False,
) -> CachingAllocator:
    """Load the weights and run two steps; the allocator's peaks are what is asked for.

    units: the model as it is loaded. workspace: bytes of cuBLAS. reentrant: layers are under reentrant checkpoints.
    """
    if static.flat is None:
        parameters = Whole(allocator, static, setup)
    else:
        parameters = Flat(allocator, static, setup, static.flat, reentrant)
    parameters.load(units)
    if workspace:
        allocator.malloc(workspace)
    for number in range(STEPS):
        _one_step(step, parameters, first=number == 0)
    return allocator


def _one_step(step: Step, parameters: Whole, first: bool) -> None:
    allocator = parameters.allocator
    model, tape = Owner(step.model, allocator), step.tape
    parameters.begin_forward()
    stacks: list[list[tuple[Layer, Owner]]] = []
    for entry, runs in zip(tape.entries, step.stacks, strict=True):
        model.replay(entry.forward.section.events)
        alike = [layer for layer, count in runs for _ in range(count)]
        stacks.append([(layer, _forward(layer, parameters)) for layer in alike])
    model.replay(tape.head.section.events)
    model.replay(tape.backward_head.section.events)
    held: list[Block] = []
    left = sum(map(len, stacks))
    for entry, stack in zip(reversed(tape.entries), reversed(stacks), strict=True):
        for layer, owner in reversed(stack):
            left -= 1
            held += _backward(layer, owner, parameters, is_last=not left)
        model.replay(entry.backward.section.events)
    parameters.end_backward(model)
    parameters.optimizer_step(first)
    parameters.release(held)
    for _, owner in (pair for stack in stacks for pair in stack):
        owner.keep(Live())
    model.keep(Live())


def _forward(layer: Layer, parameters: Whole) -> Owner:
    owner = Owner(layer.part, parameters.allocator)
    parameters.before_forward()
    owner.replay(layer.tape.forward.section.events)
    parameters.after_forward()
    owner.keep(layer.tape.saved)
    return owner


def _backward(layer: Layer, owner: Owner, parameters: Whole, is_last: bool) -> list[Block]:
    """What it returns is held to the end of the whole backward: hidden states, and their gradient after it."""
    owner.keep(layer.tape.kept)
    by_hooks = layer.part.total(layer.left) // 2
    held = parameters.blocks(by_hooks)
    parameters.before_backward(is_last)
    owner.replay(layer.tape.backward.section.events)
    held += parameters.blocks(by_hooks)
    parameters.after_backward(owner, layer.tape.gradients)
    return held
