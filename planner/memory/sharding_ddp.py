"""One device, or a copy on each: DDP's gradient buckets."""

from planner.memory.inventory import Item
from planner.memory.sharding import ALWAYS, Buffer, Shares
from planner.memory.states import gradient_bytes, state_bytes
from planner.optimizers import OPTIMIZERS
from planner.schema import PlanRequest

_BUCKETS = "torch 2.13 csrc/distributed/c10d/reducer.cpp initialize_buckets, gradient_as_bucket_view=False"


def copied(request: PlanRequest, items: tuple[Item, ...]) -> Shares:
    """Everything whole on the device; with offload_optimizer the host keeps states and a copy of what trains."""
    gradients = gradient_bytes(items)
    buffers: tuple[Buffer, ...] = ()
    if request.parallelism.strategy == "ddp":
        formula = "sum of trained parameters x bytes of their dtype"
        bucket = Buffer(
            "DDP gradient buckets", "workspace", gradients, formula, {}, ALWAYS, _BUCKETS, "exact", "loaded"
        )
        buffers = (bucket,)
    if not request.parallelism.offload_optimizer:
        return Shares(items, items, items, 1, buffers)
    # torchao CPUOffloadOptimizer: parameters, gradients and states of what trains, pinned
    states = state_bytes(OPTIMIZERS[request.optim], items, "cpu").total
    return Shares(items, items, (), 1, buffers, states + 2 * gradients)
