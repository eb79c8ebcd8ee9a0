"""The course of one training step: live bytes by category, layer by layer, for a picture of it."""

from planner.answer import PhaseBytes
from planner.estimate import Memory, compute_memory
from planner.memory.moments import Moment, timeline
from planner.memory.unfold import unfolded
from planner.schema import PlanRequest


def course(request: PlanRequest) -> tuple[PhaseBytes, ...]:
    """Every layer's highest moment in order, from the loaded model to between steps, with the runtime's own share.

    Where a device has a part of the layers: the largest moment of each phase, as the plan has them.
    Raises PlannerError where the request cannot be planned.
    """
    memory = compute_memory(request)
    first, *between, updated, last = memory.moments
    if len(memory.prepared.stages) == 1:
        between = _unfolded(memory)
    return timeline([first, *between, updated, last], memory.static, memory.device.runtime)


def _unfolded(memory: Memory) -> list[Moment]:
    request = memory.request
    accumulating = request.gradient_accumulation_steps > 1
    length = request.max_length + request.virtual_tokens
    step = memory.prepared.step(request.per_device_train_batch_size, length, accumulating)
    return unfolded(memory.static, step, accumulating, memory.cublas + memory.batch)
