"""One step, layer by layer: the highest moment of every layer, forward and backward, in the order in which they come.

moments.py keeps the largest moment of each phase; this is the whole course between them, for a picture of it.
"""

from collections.abc import Iterator

from planner.memory.evaluated import Runs
from planner.memory.moments import PHASE_OF, Moment, Static, live_buffers
from planner.memory.sharding import buffers_at
from planner.memory.step import Composition, Pieces, Step


def unfolded(static: Static, step: Step, accumulating: bool, constant: int) -> list[Moment]:
    """The moments of forward, loss and backward, one for each layer and pass; constant: live throughout.

    In each phase the largest of them is the phase's moment of moments().
    """
    held = static.accumulated if accumulating else 0
    always = static.weights + static.states.total + held + constant
    found = []
    for composition in _course(step, static):
        buffers = live_buffers(static, composition.at)
        total = always + composition.bytes + sum(buffer.bytes for buffer in buffers)
        phase = PHASE_OF[composition.phase]
        found.append(Moment(phase, composition, held, static.states.total, constant, buffers, total))
    return found


def _course(step: Step, static: Static) -> Iterator[Composition]:
    """The step's own moments, with every layer in the place of the largest of them."""
    own = step.moments(lambda at: buffers_at(static.buffers, at))
    stacks, entries = step.stacks, step.tape.entries
    number = len(stacks)
    for i, runs in enumerate(stacks):
        yield own[2 * i]
        before = _joined(stacks[:i])
        for run, (_, count) in enumerate(runs):
            for done in range(count):
                yield _made("forward", step.forward_at(entries[i], runs, before, run, done), "none")
    yield from own[2 * number : 2 * number + 3]
    for place, i in enumerate(reversed(range(number))):
        runs, before, after = stacks[i], _joined(stacks[:i]), _joined(stacks[i + 1 :])
        for run in reversed(range(len(runs))):
            for done in range(runs[run][1]):
                pieces, at = step.backward_at(entries[i], runs, before, after, run, done)
                yield _made("backward layers", pieces, "growing", at)
        yield own[2 * number + 4 + 2 * place]


def _joined(stacks: list[Runs]) -> Runs:
    return [run for runs in stacks for run in runs]


def _made(phase: str, pieces: Pieces, gradients: str, at: str = "") -> Composition:
    size = sum(part.total(live) * times for part, live, times in pieces)
    return Composition(phase, size, pieces, gradients, at)
