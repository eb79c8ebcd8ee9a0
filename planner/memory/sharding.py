"""Several devices: what each holds of weights, gradients and states, and what it holds whole for the time of use.

Modelled: data parallel copies (ddp) and full sharding (fsdp). Source: torch 2.13 distributed/fsdp/_fully_shard and
nn/parallel/distributed.py; Zhao et al. 2023 (PyTorch FSDP), section 3.
"""

from collections.abc import Sequence
from typing import Any

from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, stored_bytes
from planner.memory.quantized import Storage
from planner.schema import PlanRequest


def num_shards(request: PlanRequest) -> int:
    """Devices over which weights, gradients and states are divided."""
    return request.num_gpus if request.parallelism.strategy == "fsdp" else 1


def share(total: Any, shards: int) -> Any:
    """One device's share, rounded up: shards are padded to equal size."""
    return total if shards == 1 else -(-total // shards)


def gathered_bytes(
    request: PlanRequest, architecture: Architecture, items: Sequence[Item], storage: Storage | None
) -> int:
    """Parameters that fsdp holds whole during a step, less the device's own share of them: 0 without sharding.

    What stands outside the layers (embeddings, final norm, head) stays gathered from forward to backward, as the root
    module is not resharded; of the layers the one at work and the one prefetched.
    """
    shards = num_shards(request)
    if shards == 1:
        return 0
    prefixes = {f"{block.prefix}.*.": 0 for block in architecture.blocks}
    root = 0
    for item in items:
        size = stored_bytes(item, storage)
        prefix = next((p for p in prefixes if item.name.startswith(p)), None)
        if prefix is None:
            root += size * item.count
        else:
            prefixes[prefix] += size
    return root + 2 * max(prefixes.values())
