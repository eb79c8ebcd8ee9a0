"""The part of a run that one device has, by the request's strategy."""

from dataclasses import replace
from typing import Any

from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE, Key, Live
from planner.memory.model_parallel import device_items, parallel_notes
from planner.memory.regularizer import waiting_gradients
from planner.memory.sharding import Shares, computing, num_shards, share
from planner.memory.sharding_ddp import copied
from planner.memory.sharding_deepspeed import zero_shares
from planner.memory.sharding_fsdp import fsdp_shares
from planner.parallelism import CARDS_A_NODE, DEEPSPEED, FULLY_SHARDED, data_parallel_size
from planner.schema import PlanRequest


def shares_of(request: PlanRequest, architecture: Architecture, items: tuple[Item, ...], setup: Setup) -> Shares:
    """What the device with the most of everything holds."""
    strategy = request.parallelism.strategy
    divided = device_items(request, architecture, items, experts=False)
    own = device_items(request, architecture, items)
    if strategy in FULLY_SHARDED:
        shares = fsdp_shares(request, architecture, divided, setup, num_shards(request))
    elif strategy in DEEPSPEED:
        shares = zero_shares(request, divided, own, setup, data_parallel_size(request))
    else:
        shares = copied(request, own)
    return replace(shares, buffers=(*shares.buffers, *waiting_gradients(own, setup)))


def left_gradients(request: PlanRequest, num_bytes: Any, kept_size: int, made_size: int) -> Any:
    """Of the gradients that a layer's backward has made, what stays on the device as that layer is done.

    kept_size, made_size: bytes of an element as it is kept and as backward makes it. Nothing stays beside ZeRO-3's
    flat buffer, or where the host keeps gradients.
    """
    p = request.parallelism
    if p.strategy == "zero3" or p.offload_params or (p.offload_optimizer and p.strategy == "zero2"):
        return 0 * num_bytes
    return share(num_bytes * kept_size // made_size, num_shards(request))


def left_by_hooks(request: PlanRequest, setup: Setup) -> Live:
    """What FSDP1 keeps of each layer to the end of backward where parameters are frozen and checkpoints reentrant.

    torch 2.4 distributed/fsdp/_runtime_utils.py _register_post_backward_reshard_only_hook: register_multi_grad_hook
    holds the grad_fn of the layer's input, which in a reentrant recomputation is the AccumulateGrad of the detached
    hidden states: these and their gradient. Published runs show it (fms-acceleration, Llama-3-8B with LoRA).
    """
    reentrant = request.gradient_checkpointing and request.gradient_checkpointing_kwargs.use_reentrant
    frozen = request.lora_settings is not None
    if setup.fsdp != "flat" or request.parallelism.strategy not in FULLY_SHARDED or not (reentrant and frozen):
        return Live()
    size = ITEMSIZE[computing(request, setup).dtype]
    key: Key = ("hidden states held by FSDP's hooks", "activations", ("B", "S", "hidden"))
    return Live({key: 2 * size})


_MODELLED = {
    "none": "no strategy",
    "ddp": "torch's DistributedDataParallel with its gradient buckets",
    "zero1": "DeepSpeed's ZeRO-1 with its default buckets",
    "zero2": "DeepSpeed's ZeRO-2 with its default buckets",
    "zero3": "DeepSpeed's ZeRO-3 with its default buckets",
    "fsdp": "torch's FSDP2 (fully_shard), layer by layer",
    "hsdp": "torch's FSDP2 within each node and copies across nodes",
    "device_map": "transformers' device_map='auto', whose cards work one after another: the one with most at its peak",
}


def spread_notes(request: PlanRequest) -> list[str]:
    """What is modelled of several devices, and what it takes for granted."""
    p, notes = request.parallelism, []
    if request.num_gpus > 1 or p.strategy != "none":
        whose = "the one device" if request.num_gpus == 1 else f"one of {request.num_gpus:,} devices"
        notes.append(f"bytes are those of {whose}; modelled is {_MODELLED[p.strategy]}")
    if request.num_nodes > 1 and "num_nodes" not in request.model_fields_set:
        each = request.num_gpus // request.num_nodes
        notes.append(
            f"num_nodes is left open: {request.num_nodes} machines of {each} card{'s' if each > 1 else ''}; more than "
            f"{CARDS_A_NODE} in one must be said"
        )
    if p.strategy in FULLY_SHARDED and not request.names_stack:
        notes.append(
            "no stack is named: FSDP is taken with flat parameters and reentrant checkpoints, as transformers 4 had, "
            "which needs more than today's (stack: transformers@5)"
        )
    if p.strategy in FULLY_SHARDED and request.gradient_accumulation_steps > 1:
        notes.append("between micro-batches FSDP keeps whole gradients of what trains (no_sync)")
    if p.strategy in FULLY_SHARDED and request.quantization_settings is not None:
        notes.append("quantized weights are stored in a dtype that FSDP can shard (bnb_4bit_quant_storage)")
    if p.strategy in FULLY_SHARDED and p.offload_params and not p.offload_optimizer:
        notes.append("FSDP's offload_params keeps gradients and optimizer states in the host's memory too")
    return notes + parallel_notes(request)
