"""The ledger of a plan: every byte live at the peak as a named term, sorted by category and size."""

from planner.answer import CATEGORIES, Category, Certainty, Phase, Term
from planner.architecture.blocks import Architecture
from planner.memory.moments import Moment, Static
from planner.memory.runtime import CONTEXT_SOURCE, DeviceBytes
from planner.memory.sharding import Buffer
from planner.memory.terms import AUTOGRAD, activation_terms, plain, state_terms

#: Terms that are one figure: name, category, phase of birth, formula, source.
CUBLAS_SOURCE = "torch 2.13 CublasHandlePool.cpp parseChosenWorkspaceSize"
NCCL_SOURCE = "NCCL 2.21 src/init.cc computeBuffSizes: a ring and a tree of 24 channels"


def peak_terms(
    static: Static,
    peak: Moment,
    architecture: Architecture,
    certainty: Certainty,
    cublas: int,
    batch: int,
    device: DeviceBytes,
) -> tuple[Term, ...]:
    """All terms of the peak; they sum to its total and the runtime's share."""
    terms = [*static.weight_terms, *_gradients_and_states(static, peak)]
    if peak.composition is not None:
        terms += activation_terms(peak.composition, peak.phase, architecture, certainty)
    terms += _workspaces(static, peak, cublas, batch)
    terms += [_held(buffer) for buffer in peak.buffers]
    terms += runtime_terms(device)
    order = {category: i for i, category in enumerate(CATEGORIES)}
    return tuple(sorted((t for t in terms if t.bytes), key=lambda t: (order[t.category], -t.bytes)))


def runtime_terms(device: DeviceBytes) -> list[Term]:
    """What a process has on its card outside torch's allocator."""
    return [
        constant("CUDA context", "runtime", device.context, "loaded", CONTEXT_SOURCE),
        constant("NCCL buffers", "runtime", device.runtime - device.context, "loaded", NCCL_SOURCE),
    ]


def _gradients_and_states(static: Static, peak: Moment) -> list[Term]:
    terms: list[Term] = []
    if peak.gradients:
        formula = "sum of trained parameters x bytes of their dtype"
        life: tuple[Phase, Phase] = ("backward_head", "between_steps")
        terms.append(plain("gradients", "gradients", peak.gradients, formula, life, AUTOGRAD))
    if peak.states:
        terms += state_terms(static.optimizer, static.states, static.trained)
    return terms


def _workspaces(static: Static, peak: Moment, cublas: int, batch: int) -> list[Term]:
    """What the step needs besides tensors of the model: library workspaces, the batch, the optimizer's temporaries."""
    step = peak.workspace - cublas - batch if peak.phase == "optimizer_step" else 0
    return [
        constant("cuBLAS workspace", "workspace", cublas, "forward", CUBLAS_SOURCE),
        constant("token ids and labels", "workspace", batch, "loaded", "the batch: 8 bytes a token and tensor"),
        constant("optimizer step temporaries", "workspace", step, "optimizer_step", static.optimizer.source),
    ]


def _held(buffer: Buffer) -> Term:
    """What sharding holds at the peak."""
    return Term(
        name=buffer.name,
        category=buffer.category,
        bytes=buffer.bytes,
        formula=buffer.formula,
        inputs=buffer.inputs,
        born=buffer.born,
        freed="between_steps" if "between_steps" in buffer.at else "optimizer_step",
        source=buffer.source,
        certainty=buffer.certainty,
    )


def constant(name: str, category: Category, num_bytes: int, born: Phase, source: str) -> Term:
    """A term whose formula is a figure."""
    return Term(
        name=name,
        category=category,
        bytes=num_bytes,
        formula="constant",
        inputs={},
        born=born,
        freed="optimizer_step" if born == "optimizer_step" else "between_steps",
        source=source,
        certainty="modelled",
    )
