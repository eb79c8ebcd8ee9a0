"""What offloading leaves on the device, and what the host keeps for it."""

from collections.abc import Iterable

from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE
from planner.memory.sharding import share
from planner.memory.states import gradient_bytes, state_bytes
from planner.optimizers import OPTIMIZERS
from planner.schema import PlanRequest


def on_device(items: Iterable[Item]) -> tuple[Item, ...]:
    """What stays when parameters are offloaded: buffers, and constants of quantized weights with them."""
    return tuple(item for item in items if item.role == "buffer")


def weights_on_host(setup: Setup, items: Iterable[Item], shards: int) -> int:
    """Bytes of offloaded parameters."""
    total = 0
    for item in items:
        if item.role == "linear_4bit" and setup.storage is not None:
            total += share(setup.storage.codes_bytes(item.shape, item.numel) * item.count, shards)
        elif item.role != "buffer":
            total += item.elements * ITEMSIZE[item.dtype]
    return total


def host_bytes(request: PlanRequest, setup: Setup, local: tuple[Item, ...], shards: int) -> int:
    """Parameters, gradients and optimizer states of one device, all in the host's memory."""
    states = state_bytes(OPTIMIZERS[request.optim], local, "cpu").total
    return weights_on_host(setup, local, shards) + gradient_bytes(local) + states
