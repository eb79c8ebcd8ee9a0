"""Wrap a model for several processes, as transformers' Trainer does with accelerate: DDP, or FSDP2 layer by layer.

Source: accelerate 1.15 accelerator.py (prepare_model), utils/fsdp_utils.py (fsdp2_prepare_model); torch 2.13
nn/parallel/distributed.py, distributed/fsdp/_fully_shard.
"""

from typing import Any

import torch
from torch import nn

from planner.errors import RequestError
from planner.schema import PlanRequest

COMPUTE_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
STRATEGIES = ("ddp", "fsdp")


def check_wrappable(request: PlanRequest) -> None:
    """Raise RequestError for a way of sharing that the profiler does not run."""
    strategy = request.parallelism.strategy
    if strategy not in STRATEGIES or request.parallelism.model_parallel_size > 1:
        raise RequestError(
            f"parallelism.strategy: {strategy!r}: the profiler runs ddp and fsdp over data-parallel processes",
            "parallelism.strategy",
        )
    if request.parallelism.offload_params or request.parallelism.offload_optimizer:
        raise RequestError(
            "parallelism.offload_params: the profiler keeps everything on the device", "parallelism.offload_params"
        )


def wrap(request: PlanRequest, model: nn.Module) -> nn.Module:
    """The model that the steps run: `model` itself, sharded in place, or a DDP module around it."""
    if request.parallelism.strategy == "ddp":
        return nn.parallel.DistributedDataParallel(model)
    return _fully_shard(model, request.mixed_precision)


def _fully_shard(model: nn.Module, mixed_precision: str) -> nn.Module:
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    dtype = COMPUTE_DTYPES.get(mixed_precision)
    if dtype is not None:
        _upcast_trained(model)
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=dtype, output_dtype=dtype)
    options: dict[str, Any] = {"mp_policy": policy, "ignored_params": _unshardable(model)}
    for layer in decoder_layers(model):
        fully_shard(layer, **options)
    return fully_shard(model, **options)


def _upcast_trained(model: nn.Module) -> None:
    """Trained parameters are kept in float32 where the compute dtype is another one."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.is_floating_point():
            parameter.data = parameter.data.float()


def _unshardable(model: nn.Module) -> set[nn.Parameter]:
    """4-bit weights stored as uint8 stay whole on every rank."""
    return {p for p in model.parameters() if not p.is_floating_point() and not p.requires_grad}


def decoder_layers(model: Any) -> list[nn.Module]:
    """The modules that accelerate's transformer policy wraps: the model's _no_split_modules."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    names = set(base._no_split_modules or ())
    return [module for module in base.modules() if type(module).__name__ in names]
