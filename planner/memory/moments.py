"""Static bytes and the moments of one step: the largest sum of live bytes in each phase."""

from dataclasses import dataclass

from planner.answer import CATEGORIES, Category, Phase, PhaseBytes, Term
from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup
from planner.memory.sharding import gathered_bytes, num_shards, share
from planner.memory.states import StateBytes, gradient_bytes, state_bytes, step_workspace_bytes
from planner.memory.step import Composition, Step
from planner.memory.tape import ITEMSIZE
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

    weights: one term a group of tensors alike. gathered: parameters that sharding makes whole for the time of use.
    """

    items: tuple[Item, ...]
    optimizer: Optimizer
    weight_terms: tuple[Term, ...]
    weights: int
    weights_in_use: int
    gradients: int
    states: StateBytes
    step_workspace: int
    gathered: int
    buckets: int


def static_bytes(request: PlanRequest, architecture: Architecture, items: tuple[Item, ...], setup: Setup) -> Static:
    """Weights, gradients and optimizer states of the run.

    weights_in_use: after the first forward, when bitsandbytes has cast the biases of its linears to their input's
    dtype.
    """
    optimizer, shards = OPTIMIZERS[request.optim], num_shards(request)
    terms = tuple(weight_terms(items, setup, shards))
    weights = sum(term.bytes for term in terms)
    gradients = gradient_bytes(items)
    states = state_bytes(optimizer, items, request.device)
    return Static(
        items=items,
        optimizer=optimizer,
        weight_terms=terms,
        weights=weights,
        weights_in_use=weights - share(sum(i.elements * _cast_bytes(i, setup) for i in items), shards),
        gradients=share(gradients, shards),
        states=states.shared(shards),
        step_workspace=share(step_workspace_bytes(optimizer, items, request.device), shards),
        gathered=gathered_bytes(request, architecture, items, setup.storage),
        buckets=gradients if request.parallelism.strategy == "ddp" else 0,
    )


def _cast_bytes(item: Item, setup: Setup) -> int:
    """Bytes an element of a quantized linear's bias loses at the first forward."""
    if item.role != "bias_4bit" or not item.reached:
        return 0
    return ITEMSIZE[setup.kept_dtype] - ITEMSIZE[item.dtype]


@dataclass(frozen=True, slots=True)
class Moment:
    """The largest moment of one phase with everything that is live in it."""

    phase: Phase
    composition: Composition | None
    gradients: int
    states: int
    workspace: int
    total: int


def moments(static: Static, step: Step, accumulating: bool, constant: int) -> list[Moment]:
    """One moment a phase, in order; `constant` is live throughout (the cuBLAS workspace, the batch)."""
    between = static.weights + static.states.total + constant + static.buckets
    base = between + static.gathered
    held = static.gradients if accumulating else 0
    running = constant + static.buckets + static.gathered
    found = [Moment("loaded", None, 0, 0, 0, static.weights)]
    for composition in step.moments():
        total = base + held + composition.bytes
        moment = Moment(PHASE_OF[composition.phase], composition, held, static.states.total, running, total)
        if found[-1].phase != moment.phase:
            found.append(moment)
        elif moment.total > found[-1].total:
            found[-1] = moment
    workspace = constant + static.buckets + static.step_workspace
    total = between + static.gradients + static.step_workspace
    found.append(Moment("optimizer_step", None, static.gradients, static.states.total, workspace, total))
    found.append(Moment("between_steps", None, 0, static.states.total, constant + static.buckets, between))
    return found


def by_category(moment: Moment, static: Static, runtime: int) -> dict[Category, int]:
    """Live bytes of a moment by category."""
    live: dict[Category, int] = dict.fromkeys(CATEGORIES, 0)
    live["weights"], live["runtime"] = static.weights, runtime
    live["gradients"], live["optimizer"], live["workspace"] = moment.gradients, moment.states, moment.workspace
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
