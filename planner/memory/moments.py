"""Static bytes and the moments of one step: the largest sum of live bytes in each phase."""

from dataclasses import dataclass

from planner.answer import CATEGORIES, Category, Phase, PhaseBytes, Term
from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE
from planner.memory.sharding import Buffer, FlatUnits, buffers_at
from planner.memory.spread import shares_of
from planner.memory.states import StateBytes, gradient_bytes, state_bytes, step_workspace_bytes
from planner.memory.step import Composition, Step
from planner.memory.terms import weight_terms
from planner.optimizers import OPTIMIZERS, Optimizer
from planner.schema import PlanRequest

PHASE_OF: dict[str, Phase] = {
    "forward": "forward",
    "loss": "loss",
    "backward head": "backward_head",
    "backward layers": "backward_layers",
    "backward embedding": "backward_embedding",
}


@dataclass(frozen=True, slots=True)
class Static:
    """Bytes a device holds whatever the batch is: weights, gradients, states; after sharding.

    weights: one term a group of tensors alike. items: of the whole model; trained: the device's part of the states'.
    buffers: what sharding holds besides at some moments; host_bytes: what the host keeps for this device.
    accumulated: gradients while micro-batches add to them, which sharding can leave whole until the last.
    reduced_apart, flat: as in Shares.
    """

    items: tuple[Item, ...]
    optimizer: Optimizer
    weight_terms: tuple[Term, ...]
    weights: int
    weights_in_use: int
    gradients: int
    accumulated: int
    reduced_apart: bool
    flat: FlatUnits | None
    states: StateBytes
    step_workspace: int
    trained: tuple[Item, ...]
    buffers: tuple[Buffer, ...]
    host_bytes: int
    between: int


def static_bytes(request: PlanRequest, architecture: Architecture, items: tuple[Item, ...], setup: Setup) -> Static:
    """Weights, gradients and optimizer states of the run.

    weights_in_use: after the first forward, when bitsandbytes has cast the biases of its linears to their input's
    dtype.
    """
    optimizer, shares = OPTIMIZERS[request.optim], shares_of(request, architecture, items, setup)
    terms = tuple(weight_terms(shares.weights, setup, shares.devices))
    weights = sum(term.bytes for term in terms)
    states, gradients = state_bytes(optimizer, shares.states, request.device), gradient_bytes(shares.gradients)
    return Static(
        items=items,
        optimizer=optimizer,
        weight_terms=terms,
        weights=weights,
        weights_in_use=weights - sum(i.elements * _cast_bytes(i, setup) for i in shares.weights),
        gradients=gradients,
        accumulated=shares.unreduced or gradients,
        reduced_apart=shares.reduced_apart,
        flat=shares.flat,
        states=states,
        step_workspace=step_workspace_bytes(optimizer, shares.in_step, request.device),
        trained=shares.states,
        buffers=shares.buffers,
        host_bytes=shares.host_bytes,
        between=weights + states.total + buffers_at(shares.buffers, "between_steps"),
    )


def _cast_bytes(item: Item, setup: Setup) -> int:
    """Bytes an element of a quantized linear's bias loses at the first forward."""
    if item.role != "bias_4bit" or not item.reached:
        return 0
    return ITEMSIZE[setup.kept_dtype] - ITEMSIZE[item.dtype]


@dataclass(frozen=True, slots=True)
class Moment:
    """The largest moment of one phase with everything that is live in it.

    workspace: what is there whatever is trained (the cuBLAS workspace, the batch) and the optimizer step's temporaries.
    """

    phase: Phase
    composition: Composition | None
    gradients: int
    states: int
    workspace: int
    buffers: tuple[Buffer, ...]
    total: int


def moments(static: Static, step: Step, accumulating: bool, constant: int) -> list[Moment]:
    """One moment a phase, in order; `constant` is live throughout (the cuBLAS workspace, the batch)."""
    held = static.accumulated if accumulating else 0
    found = [Moment("loaded", None, 0, 0, 0, (), static.weights)]
    for composition in step.moments(lambda at: buffers_at(static.buffers, at)):
        buffers = live_buffers(static, composition.at)
        total = static.weights + static.states.total + held + constant + composition.bytes + _total(buffers)
        phase = PHASE_OF[composition.phase]
        moment = Moment(phase, composition, held, static.states.total, constant, buffers, total)
        if found[-1].phase != moment.phase:
            found.append(moment)
        elif moment.total > found[-1].total:
            found[-1] = moment
    found.append(_between(static, "optimizer_step", static.gradients, constant + static.step_workspace))
    found.append(_between(static, "between_steps", 0, constant))
    return found


def _between(static: Static, phase: Phase, gradients: int, workspace: int) -> Moment:
    """A moment without activations."""
    buffers, states = live_buffers(static, phase), static.states.total
    total = static.weights + states + gradients + workspace + _total(buffers)
    return Moment(phase, None, gradients, states, workspace, buffers, total)


def live_buffers(static: Static, at: str) -> tuple[Buffer, ...]:
    """What sharding holds besides at a moment."""
    return tuple(buffer for buffer in static.buffers if at in buffer.at)


def _total(buffers: tuple[Buffer, ...]) -> int:
    return sum(buffer.bytes for buffer in buffers)


def by_category(moment: Moment, static: Static, runtime: int) -> dict[Category, int]:
    """Live bytes of a moment by category."""
    live: dict[Category, int] = dict.fromkeys(CATEGORIES, 0)
    live["weights"], live["runtime"] = static.weights, runtime
    live["gradients"], live["optimizer"], live["workspace"] = moment.gradients, moment.states, moment.workspace
    for buffer in moment.buffers:
        live[buffer.category] += buffer.bytes
    for part, held, times in moment.composition.pieces if moment.composition is not None else ():
        sizes = part.sizes
        for category, monomial, coefficient in held.groups:
            live[category] += coefficient * times * sizes[monomial]
    return live


def timeline(found: list[Moment], static: Static, runtime: int) -> tuple[PhaseBytes, ...]:
    """The largest moment of each phase by category, with the runtime's own share."""
    return tuple(
        PhaseBytes(phase=m.phase, total_bytes=m.total + runtime, live_bytes=by_category(m, static, runtime))
        for m in found
    )
