"""From a published run to the request that asks the planner for it.

Only what the source states, or documents as its default, is put into the request; what a stack sets stays open.
"""

import re
from typing import Any

from planner.catalog import find_gpu, find_model
from planner.catalog.measurements import framework_of
from planner.catalog.rows.measurement import MeasurementRow
from planner.errors import RequestError, UnknownGpuError
from planner.schema import LORA_METHODS, PROMPT_METHODS, STACKS, PlanRequest, parse_request

#: Kinds of optimizer and of its states, as a request spells them; states follow the parameters' dtype.
_OPTIMIZERS = {
    "adamw_fp32_states": "adamw_torch",
    "adamw_fused_fp32_states": "adamw_torch_fused",
    "adamw_bf16": "adamw_torch",
    "adamw_fp16_states": "adamw_torch",
    "adamw8bit": "adamw_bnb_8bit",
    "paged_adamw8bit": "paged_adamw_8bit",
    "paged_adamw32bit": "paged_adamw_32bit",
    "adamw_torch_4bit": "adamw_torch_4bit",
    "adafactor": "adafactor",
    "sgd": "sgd",
}
_STRATEGIES = {
    "none": "none",
    "ddp": "ddp",
    "zero1": "zero1",
    "zero2": "zero2",
    "fsdp_grad_op": "zero2",
    "zero3": "zero3",
    "fsdp_full": "fsdp",
}
_ATTENTIONS = {"flash": "flash_attention_2", "eager": "eager", "sdpa": "sdpa", None: "sdpa"}
_LOSSES = {"standard": "full", "chunked": "chunked", "fused": "fused", None: "full"}
_AUTOCAST = {"amp_bf16": "bf16", "amp_fp16": "fp16"}

#: What a source means by "attn", in the names most families have.
_ATTENTION_MODULES = {
    "attn-qkv": ["q_proj", "k_proj", "v_proj"],
    "attn-qv": ["q_proj", "v_proj"],
    "attn": ["q_proj", "k_proj", "v_proj", "o_proj"],
}
_WORD = re.compile(r"[A-Za-z_0-9.]+")


def request_of(row: MeasurementRow, name_stack: bool = True) -> PlanRequest:
    """The request of a published run; name_stack: say which stack it ran in and what its framework sets besides.

    Raises RequestError where the source leaves open what a request needs, and where a request cannot say it, and
    UnknownModelError for a model outside the catalogue: what the Hub says would make the figures depend on a network.
    """
    request = parse_request(request_fields_of(row, name_stack))
    find_model(row.model)
    return request


def request_fields_of(row: MeasurementRow, name_stack: bool = True) -> dict[str, Any]:
    """The fields of that request, before they are validated. Raises RequestError as request_of does."""
    if not row.model or not row.max_length or not row.per_device_train_batch_size:
        raise RequestError("the source states no model, batch size or length of a training step")
    fields: dict[str, Any] = {
        "id": row.id,
        "model": row.model,
        "method": row.method,
        "dtype": row.dtype,
        "mixed_precision": _AUTOCAST.get(row.mixed_precision, "no"),
        "per_device_train_batch_size": row.per_device_train_batch_size,
        "max_length": row.max_length,
        "gradient_accumulation_steps": row.gradient_accumulation_steps or 1,
        "gradient_checkpointing": bool(row.gradient_checkpointing),
        "attn_implementation": _ATTENTIONS[row.attention],
        "optim": _known(_OPTIMIZERS, row.optimizer, "optimizer"),
        "loss": _LOSSES[row.loss],
        "device": "cuda",
        "num_gpus": row.num_gpus,
        "num_nodes": 1,
        "parallelism": _parallelism(row),
    }
    fields |= _gpu(row.gpu) | _adapters(row) | _quantization(row)
    return fields | (_framework(row, fields) if name_stack else {})


def _known(names: dict[str, str], given: str, what: str) -> str:
    if given not in names:
        raise RequestError(f"a request has no {what} {given!r}")
    return names[given]


def _parallelism(row: MeasurementRow) -> dict[str, Any]:
    asked: dict[str, Any] = {"strategy": _known(_STRATEGIES, row.sharding.rstrip("?"), "sharding")}
    if row.offload == "activations":
        asked["activation_offloading"] = True
    if row.offload == "cpu_params":
        asked |= {"offload_params": True, "offload_optimizer": True}
    return asked


def _gpu(name: str) -> dict[str, str]:
    """The card where the source names one that the catalogue knows: figures of memory hold without it."""
    try:
        return {"gpu": find_gpu(name).key} if name else {}
    except UnknownGpuError:
        return {}


def virtual_tokens(method: str, number: int | None) -> dict[str, Any]:
    """The section `prompt` of a method that trains one: the tables have its virtual tokens in the rank's column."""
    return {"prompt": {"num_virtual_tokens": number}} if method in PROMPT_METHODS and number is not None else {}


def _adapters(row: MeasurementRow) -> dict[str, Any]:
    if row.method in PROMPT_METHODS:
        return virtual_tokens(row.method, row.lora_r)
    if row.method not in LORA_METHODS:
        return {}
    listed, _, saved = row.lora_targets.partition("+")
    targets = target_modules(listed.strip())
    if targets is None or row.lora_r is None:
        raise RequestError("the source states no rank or target modules in names that a request can carry")
    if "lm_head" in saved and "modules_to_save" not in saved and targets == "all-linear":
        raise RequestError("a request cannot put adapters on all linear layers and the head")
    autocast = row.lora_dtype in ("float32", None)
    lora: dict[str, Any] = {"r": row.lora_r, "target_modules": targets, "autocast_adapter_dtype": autocast}
    if saved:
        lora["modules_to_save"] = re.findall(r"[a-z_]+", saved.replace("modules_to_save", ""))
    return {"lora": lora}


def target_modules(text: str) -> str | list[str] | None:
    """The modules that a source names: "all-linear", a list of endings, or None where it is no list of names.

    Names in brackets after "attn" stand for themselves where they are whole names ("attn (q,k,v,o)" abbreviates).
    """
    if text.startswith("all-linear"):
        return "all-linear"
    for word, modules in _ATTENTION_MODULES.items():
        if text == word or text.startswith(f"{word} "):
            return (_in_brackets(text) if word == "attn" else None) or modules
    names = re.sub(r"\(.*?\)", "", text).replace(",", " ").split()
    return names if names and all(map(_WORD.fullmatch, names)) else None


def _in_brackets(text: str) -> list[str] | None:
    found = re.search(r"\(([a-z_0-9, .]+)\)", text)
    names = [name.strip() for name in found[1].split(",")] if found else []
    return names if names and all(re.fullmatch(r"[a-z_0-9]{3,}", name) for name in names) else None


def _quantization(row: MeasurementRow) -> dict[str, Any]:
    if row.quant is None:
        return {}
    if row.quant == "nf4":
        double = row.double_quant is not False
        settings: dict[str, Any] = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": double,
        }
    elif row.quant == "int8":
        settings = {"load_in_8bit": True}
    else:
        settings = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    return {"quantization": settings}


def _framework(row: MeasurementRow, fields: dict[str, Any]) -> dict[str, Any]:
    """The stack of the row's framework, where a request knows it, and what the framework sets in it besides."""
    framework = framework_of(row)
    known = framework.stack.partition("@")[0] in STACKS
    found: dict[str, Any] = {"stack": framework.stack} if known else {}
    for name, settings in framework.settings.items():
        if name in fields:
            found[name] = fields[name] | settings
    return found
