"""From a published training speed to the request that asks for it.

Only what the source states is set, and what a request cannot say is refused. No stack is named, as most people ask,
but where it is asked for.
"""

from typing import Any, get_args

from planner.catalog import find_model
from planner.catalog.rows.speed import SpeedRow
from planner.errors import RequestError
from planner.evidence.request import target_modules, virtual_tokens
from planner.schema import LORA_METHODS, Method, PlanRequest, parse_request

_STRATEGIES = {
    "none": "none",
    "ddp": "ddp",
    "zero2": "zero2",
    "zero3": "zero3",
    "fsdp_full": "fsdp",
    "FSDP": "fsdp",
    "fsdp_grad_op": "zero2",
    "HSDP": "hsdp",
}
_AUTOCAST = {"no": "no", "amp_bf16": "bf16", "amp_fp16": "fp16", "amp_fp8": "bf16"}
_LOSSES = {"standard": "full", "chunked": "chunked", "fused": "fused", None: "full"}
#: Attention in one kernel where the source says nothing: torch's own on cards, or flash.
_ATTENTIONS = {"flash": "flash_attention_2", "eager": "eager", "sdpa": "sdpa", None: "flash_attention_2"}
#: Cards in one node of the machines that published runs used.
_PER_NODE = 8


def speed_request_of(row: SpeedRow, name_stack: bool = False) -> PlanRequest:
    """The request of a published speed; name_stack: say which stack it ran in, where one of ours does the same.

    Raises RequestError and UnknownModelError as request_of does.
    """
    if not (row.per_device_train_batch_size and row.max_length and row.tokens_per_second and row.gpu):
        raise RequestError("the source states no batch, length, card or speed")
    if row.method not in get_args(Method):
        raise RequestError("a request does not know this method")
    if row.sharding not in _STRATEGIES or row.gradient_checkpointing in ("selective", None):
        raise RequestError("a request cannot say this sharding or checkpointing")
    fields: dict[str, Any] = {
        "id": row.id,
        "model": row.model,
        "method": row.method,
        "dtype": row.dtype,
        "mixed_precision": _AUTOCAST[row.mixed_precision],
        "per_device_train_batch_size": row.per_device_train_batch_size,
        "max_length": row.max_length,
        "gradient_accumulation_steps": row.gradient_accumulation_steps or 1,
        "gradient_checkpointing": row.gradient_checkpointing == "true",
        "attn_implementation": _ATTENTIONS[row.attention],
        "loss": _LOSSES[row.loss],
        "gpu": row.gpu,
        "num_gpus": row.num_gpus,
        "num_nodes": -(-row.num_gpus // _PER_NODE),
        "parallelism": {"strategy": _STRATEGIES[row.sharding]},
    }
    said = {"optim": row.optim} if row.optim else {}
    if name_stack and row.stack:
        said["stack"] = row.stack
    request = parse_request(fields | said | _adapters(row) | _quantization(row))
    find_model(row.model)
    return request


def _adapters(row: SpeedRow) -> dict[str, Any]:
    if row.method not in LORA_METHODS or row.lora_r is None:
        return virtual_tokens(row.method, row.lora_r)
    targets = target_modules(row.lora_targets)
    return {"lora": {"r": row.lora_r, **({"target_modules": targets} if targets else {})}}


def _quantization(row: SpeedRow) -> dict[str, Any]:
    if row.quant != "gptq4":
        return {}
    return {"quantization": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
