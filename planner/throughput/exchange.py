"""What devices send each other in a step, by strategy: bytes of collectives, and how many there are.

Rings over N devices move (N - 1) / N of a tensor once for an all-gather or a reduce-scatter, twice for an all-reduce
(Patarasu and Yuan 2009; NCCL's performance notes). Across nodes, the nodes' networks carry what the others need.
"""

from dataclasses import dataclass

from planner.architecture.blocks import Moe
from planner.memory.dims import Number, larger
from planner.memory.live import ITEMSIZE
from planner.memory.sharding import computing, gathered_size
from planner.parallelism import data_parallel_size
from planner.prepare import Prepared
from planner.schema import PlanRequest
from planner.throughput.constants import Constants
from planner.throughput.rates import Rates


@dataclass(frozen=True, slots=True)
class Exchange:
    """Whole bytes of a micro-batch's and of a step's collectives between data-parallel devices; and their number.

    An all-reduce counts twice: it is a reduce-scatter and an all-gather. across_bytes: what HSDP reduces between nodes
    in a micro-batch, of all shards together.
    """

    micro_batch_bytes: int = 0
    micro_batch_calls: int = 0
    step_bytes: int = 0
    step_calls: int = 0
    across_bytes: int = 0


def exchange_of(request: PlanRequest, prepared: Prepared) -> Exchange:
    """What data-parallel devices gather and reduce under the request's strategy."""
    strategy = request.parallelism.strategy
    if data_parallel_size(request) * request.parallelism.context_parallel_size == 1 or strategy == "none":
        return Exchange()
    items, setup = prepared.static.items, computing(request, prepared.setup)
    split = request.parallelism.tensor_parallel_size * request.parallelism.pipeline_parallel_size
    gradients = sum(i.elements * ITEMSIZE[_reduced(i.dtype, setup.dtype)] for i in items if i.has_gradient) // split
    layers = prepared.model.architecture.num_layers
    if strategy in ("ddp", "zero1"):
        return Exchange(step_bytes=2 * gradients, step_calls=layers)
    if strategy == "zero2":
        return Exchange(gradients, layers, gradients, 1)
    weights = sum(gathered_size(i, request, setup) * i.count for i in items if i.role != "buffer") // split
    across = 2 * gradients if strategy == "hsdp" else 0
    return Exchange(2 * weights + gradients, 3 * layers, across_bytes=across)


def _reduced(dtype: str, computed: str) -> str:
    """Gradients are reduced in the dtype that layers compute in, where that is the smaller."""
    return min(dtype, computed, key=lambda name: ITEMSIZE[name])


def ring_seconds(num_bytes: Number, calls: Number, request: PlanRequest, rates: Rates, c: Constants) -> Number:
    """Seconds of collectives of so many whole bytes among the data-parallel devices."""
    data, nodes = data_parallel_size(request) * request.parallelism.context_parallel_size, request.num_nodes
    inside = max(data // nodes, 1)
    within = num_bytes * (inside - 1) / inside / (rates.peer_bytes * c.link_share)
    if nodes == 1:
        return within + calls * (c.collective_seconds + c.hop_seconds * data)
    if request.parallelism.strategy == "hsdp":
        return within + calls * (c.collective_seconds + c.hop_seconds * inside)
    per_node = rates.network_bytes * (request.num_gpus // nodes) * c.link_share
    across = num_bytes * (nodes - 1) / nodes / per_node
    return larger(within, across) + calls * (c.collective_seconds + c.hop_seconds * data)


def across_seconds(num_bytes: Number, request: PlanRequest, rates: Rates, c: Constants) -> Number:
    """Seconds in which each node's devices reduce their shards with those of the other nodes, all at once."""
    nodes = request.num_nodes
    per_node = rates.network_bytes * (request.num_gpus // nodes) * c.link_share
    return num_bytes * (nodes - 1) / nodes / per_node


def model_parallel_seconds(
    request: PlanRequest, prepared: Prepared, tokens: Number, rates: Rates, c: Constants
) -> Number:
    """What tensor, context and expert parallel exchange of activations in one micro-batch: layers wait for it.

    Tensor parallel: two all-reduces a layer forward, two backward, two more where the layer is recomputed (Shoeybi et
    al. 2019, section 3). Context: keys and values of all, forward, backward and their gradients. Experts: tokens go to
    their experts and come back. device_map: hidden states go from card to card, forward and backward.
    """
    p, architecture = request.parallelism, prepared.model.architecture
    passes = 3 if request.gradient_checkpointing else 2
    hidden = tokens * architecture.hidden_size * ITEMSIZE[prepared.setup.compute_dtype]
    sent: Number = 0
    if p.tensor_parallel_size > 1:
        sent = sent + 4 * passes * architecture.num_layers * hidden * _others(p.tensor_parallel_size)
    if p.context_parallel_size > 1:
        widths = sum(
            b.count * (b.attention.num_key_value_heads * b.attention.head_dim)
            for b in architecture.blocks
            if b.attention
        )
        keys = 2 * tokens * p.context_parallel_size * widths * ITEMSIZE[prepared.setup.compute_dtype]
        sent = sent + (passes + 1) * keys * _others(p.context_parallel_size)
    if p.expert_parallel_size > 1:
        chosen = sum(b.count * b.mlp.num_experts_per_tok for b in architecture.blocks if isinstance(b.mlp, Moe))
        sent = sent + 2 * passes * chosen * hidden * _others(p.expert_parallel_size)
    if p.strategy == "device_map":
        sent = sent + 2 * (request.num_gpus - 1) * hidden
    return sent / (rates.peer_bytes * c.link_share)


def _others(size: int) -> float:
    return (size - 1) / size
