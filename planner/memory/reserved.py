"""What torch's caching allocator reserves for a step: the tape's bytes by what they are, each with a coefficient.

Blocks that were freed are kept for later ones of their size: what the loss leaves is cut up by the layers' backward,
and the next step's logits need new segments. Replaying the tape's events through the allocator's own rules
(allocator.py, replay.py) says how much that is; a plan has no time for it, so what is held beyond the peak was fitted
to such replays by the step's parts (data/allocator.csv, by benchmarks/allocator.py). No measured run is in that fit.
"""

from dataclasses import dataclass, replace

from planner.catalog.allocator import Kind, find_coefficients
from planner.memory.allocator import ROUND_LARGE_BYTES
from planner.memory.dims import Dims, Number, larger
from planner.memory.evaluated import Runs
from planner.memory.inventory import Setup
from planner.memory.live import ITEMSIZE
from planner.memory.moments import Static
from planner.memory.sharding import RUNNING, STEP, buffers_at, share
from planner.memory.sharding_fsdp import FLAT
from planner.memory.step import Step
from planner.parallelism import FULLY_SHARDED
from planner.schema import PlanRequest
from planner.switches import LossPath

#: Losses whose blocks are alike.
_LOSSES: dict[LossPath, str] = {
    "full": "full",
    "full_4_46": "full_4_46",
    "full_4": "full_4",
    "fused_logits": "fused_logits",
    "fused_logits_4": "fused_logits",
    "in_place_logits": "fused_logits",
    "chunked": "chunked",
    "chunked_head": "chunked",
    "tiled": "fused",
    "fused": "fused",
    "fused_2024": "fused",
}


#: Layers whose flat parameters hold blocks of the unshard stream at once: the one at work, the one gathered ahead, and
#: the one before, whose end the host has not waited for (replay_flat.py). As many whole gradients wait to be reduced.
IN_FLIGHT = 3
#: Loading leaves a unit in the cache twice: its parameters as they came, and the flat one (replay_load.py).
LOADED_TIMES = 2


@dataclass(frozen=True, slots=True)
class Blocks:
    """Bytes of what a step's blocks are for; numbers, or arrays of them.

    always: live throughout, or in segments of its own: weights, states, what other streams gather and reduce. head:
    the most around head and loss; kept: what the layers keep between forward and backward, all together; forward,
    backward: the most that one layer has at work; gradients: of the whole model, or of what FSDP1 has not yet reduced;
    temporaries: of the optimizer's step; loaded: what was cached before the first step; third: a copy of the logits in
    a segment of its own, where the loss needs it.
    """

    always: Number
    head: Number
    kept: Number
    forward: Number
    backward: Number
    gradients: Number
    temporaries: Number
    loaded: Number = 0
    third: Number = 0

    def parts(self, peak: Number) -> tuple[Number, ...]:
        """What the coefficients are for, in their order: the parts, and sums of them as far as they exceed the peak.

        What such a sum adds up is not live at once; the less one part's blocks serve another, the more of it is held.
        """
        head, kept, forward, backward = self.head, self.kept, self.forward, self.backward
        gradients, temporaries, step = self.gradients, self.temporaries, self.gradients + self.temporaries
        at_work = larger(larger(head, forward), backward)
        sums = (
            kept + head + forward,
            kept + head + backward,
            larger(kept + at_work, gradients + larger(backward, temporaries)),
            kept + backward + gradients,
            head + step,
            kept + step,
            kept + head + step,
            self.loaded,
            self.loaded + head,
            self.loaded + kept,
        )
        beyond = (larger(self.always + part - peak, 0) for part in sums)
        return head, kept, forward, backward, gradients, temporaries, *beyond


def blocks_of(step: Step, static: Static, constant: Number, accumulating: bool) -> Blocks:
    """The blocks of one device's step; constant: the batch, the cuBLAS workspace."""
    runs: Runs = [run for stack in step.stacks for run in stack]
    model, tape = step.model, step.tape
    kept = sum(count * layer.kept for layer, count in runs)
    left = sum(count * layer.part.total(layer.left) for layer, count in runs if layer.left)
    around = [model.highest(peaks)[0] for peaks in (tape.head, tape.loss, tape.backward_head)]
    apart, gradients = _gradients(static, accumulating)
    return Blocks(
        always=static.weights + static.states.total + _gathered(static) + apart + constant,
        head=_largest(around),
        kept=larger(kept, left),
        forward=_largest([layer.forward for layer, _ in runs]),
        backward=_largest([layer.backward for layer, _ in runs]),
        gradients=gradients,
        temporaries=static.step_workspace,
        loaded=LOADED_TIMES * static.flat.loaded if static.flat is not None else 0,
        third=_third_copy(model.dims),
    )


def _third_copy(dims: Dims) -> Number:
    """All logits in float32 where the segment of the shifted ones is smaller, which backward fills first.

    Two of the first size are live, then one of each: two segments of the smaller size do not serve both.
    """
    whole, shifted = (
        ITEMSIZE["float32"] * tokens * dims["vocab"] for tokens in (dims["B"] * dims["S"], dims["loss_tokens"])
    )
    return whole * (-(-shifted // ROUND_LARGE_BYTES) * ROUND_LARGE_BYTES < whole)


def _gathered(static: Static) -> int:
    """What other streams hold of parameters."""
    units = static.flat
    if units is None:
        return max(buffers_at(static.buffers, at) for at in (*RUNNING, *STEP))
    cast = share(max(units.root, units.layer), units.shards) if units.casts else 0
    return units.root + IN_FLIGHT * units.layer + cast


def _gradients(static: Static, accumulating: bool) -> tuple[int, int]:
    """What another stream holds of gradients, and what the compute stream does.

    FSDP reduces into blocks of its post-backward stream: torch 2.13 distributed/fsdp/_runtime_utils.py _init_streams.
    """
    whole = static.accumulated if accumulating else 0
    if not static.reduced_apart:
        return 0, whole or static.gradients
    units = static.flat
    if units is None or not units.trained_layer:
        return static.gradients, whole
    cast = share(units.trained_layer + units.trained_root, units.shards) if units.casts else 0
    return static.gradients + cast, whole or units.trained_root + IN_FLIGHT * units.trained_layer


def _largest(numbers: list[Number]) -> Number:
    most: Number = 0
    for number in numbers:
        most = larger(most, number)
    return most


def kind_of(request: PlanRequest, setup: Setup) -> Kind:
    """Which coefficients a request has."""
    segments = "expandable" if request.expandable_segments else "fixed"
    flat = request.parallelism.strategy in FULLY_SHARDED and setup.fsdp in FLAT
    training = "full" if request.method == "full" else "adapters"
    return segments, "flat" if flat else "whole", training, _checkpointing(request), _LOSSES[setup.loss]


def _checkpointing(request: PlanRequest) -> str:
    if not request.gradient_checkpointing:
        return "none"
    return "reentrant" if request.gradient_checkpointing_kwargs.use_reentrant else "non_reentrant"


def blocks_for(blocks: Blocks, kind: Kind) -> Blocks:
    """The same with the third copy around head and loss, where the loss and the segments are such as need it."""
    has_third = kind[0] == "fixed" and kind[-1] == "fused_logits"
    return replace(blocks, head=blocks.head + blocks.third) if has_third else blocks


def cached_bytes(blocks: Blocks, kind: Kind, peak: Number) -> Number:
    """What the allocator holds at its highest where the card does not limit it, before rounding to segments.

    peak: of the tensors' bytes.
    """
    parts = zip(find_coefficients(kind), blocks_for(blocks, kind).parts(peak), strict=True)
    return peak + sum(coefficient * part for coefficient, part in parts if coefficient)
