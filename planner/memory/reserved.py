"""What torch's caching allocator reserves for a step: the tape's bytes by what they are, each with a coefficient.

Blocks that were freed are kept for later ones of their size: what the loss leaves is cut up by the layers' backward,
and the next step's logits need new segments. Replaying the tape's events through the allocator's own rules
(allocator.py, replay.py) says how much that is; a plan has no time for it, so sums of the step's parts were fitted to
such replays (data/allocator.csv, by benchmarks/allocator.py). No measured run is in that fit.
"""

from dataclasses import dataclass

from planner.catalog.allocator import Kind, find_coefficients
from planner.memory.dims import Number, larger
from planner.memory.evaluated import Runs
from planner.memory.moments import Static
from planner.memory.sharding import RUNNING, STEP, buffers_at
from planner.memory.step import Step
from planner.schema import PlanRequest
from planner.switches import LossPath

#: Losses whose blocks are alike.
_LOSSES: dict[LossPath, str] = {
    "full": "full",
    "full_4_46": "full_4_46",
    "full_4": "full_4",
    "fused_logits": "fused_logits",
    "fused_logits_4": "fused_logits",
    "chunked": "chunked",
    "chunked_head": "chunked",
    "tiled": "fused",
    "fused": "fused",
    "fused_2024": "fused",
}


#: What FSDP1's hooks hold to the end of backward lies between blocks that come and go: replays reserve so much of it
#: besides (6 to 7% in eleven of Llama-3-8B with adapters, at batches of 4 to 16).
HELD_SHARE = 0.065


@dataclass(frozen=True, slots=True)
class Blocks:
    """Bytes of what a step's blocks are for; numbers, or arrays of them.

    always: live throughout, or in segments of its own: weights, states, what other streams gather and reduce. head:
    the most around head and loss; kept: what the layers keep between forward and backward, all together; forward,
    backward: the most that one layer has at work; gradients: of the whole model; temporaries: of the optimizer's step.
    """

    always: Number
    head: Number
    kept: Number
    forward: Number
    backward: Number
    gradients: Number
    temporaries: Number

    @property
    def most(self) -> Number:
        """The most of them at once beside what is always there, in about."""
        at_work = larger(larger(self.head, self.forward), self.backward)
        return larger(self.kept + at_work, self.gradients + larger(self.backward, self.temporaries))

    @property
    def parts(self) -> tuple[Number, ...]:
        """What the coefficients are for, in their order."""
        return self.head, self.kept, self.forward, self.backward, self.gradients, self.temporaries, self.most


def blocks_of(step: Step, static: Static, constant: Number, accumulating: bool) -> Blocks:
    """The blocks of one device's step; constant: the batch, the cuBLAS workspace."""
    runs: Runs = [run for stack in step.stacks for run in stack]
    model, tape = step.model, step.tape
    kept = sum(count * layer.kept for layer, count in runs)
    left = sum(count * layer.part.total(layer.left) for layer, count in runs if layer.left)
    around = [model.highest(peaks)[0] for peaks in (tape.head, tape.loss, tape.backward_head)]
    apart = max(buffers_at(static.buffers, at) for at in (*RUNNING, *STEP))
    gradients = static.accumulated if accumulating else static.gradients
    if static.reduced_apart:  # FSDP's post-backward stream: torch 2.13 distributed/fsdp/_runtime_utils.py _init_streams
        apart, gradients = apart + static.gradients, static.accumulated if accumulating else 0
    return Blocks(
        always=static.weights + static.states.total + apart + constant + HELD_SHARE * left,
        head=_largest(around),
        kept=larger(kept, left),
        forward=_largest([layer.forward for layer, _ in runs]),
        backward=_largest([layer.backward for layer, _ in runs]),
        gradients=gradients,
        temporaries=static.step_workspace,
    )


def _largest(numbers: list[Number]) -> Number:
    most: Number = 0
    for number in numbers:
        most = larger(most, number)
    return most


def kind_of(request: PlanRequest, loss: LossPath) -> Kind:
    """Which coefficients a request has."""
    reentrant = request.gradient_checkpointing_kwargs.use_reentrant
    checkpointing = "none" if not request.gradient_checkpointing else "reentrant" if reentrant else "non_reentrant"
    segments = "expandable" if request.expandable_segments else "fixed"
    return segments, "full" if request.method == "full" else "adapters", checkpointing, _LOSSES[loss]


def cached_bytes(blocks: Blocks, kind: Kind) -> Number:
    """What the allocator holds at its highest where the card does not limit it, before rounding to segments."""
    coefficients = find_coefficients(kind)
    parts = zip(coefficients, blocks.parts, strict=True)
    return blocks.always + sum(coefficient * part for coefficient, part in parts if coefficient)
