"""The page's inputs and the request: one table of URL keys, each naming the field of PlanRequest that it fills.

Nothing here imports streamlit; choices and defaults are read off the schema.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from planner.catalog import stack_values
from planner.dataset import DatasetSettings
from planner.methods.attention_names import attention_linears
from planner.optimizers import OPTIMIZERS
from planner.pricing import PricingSettings
from planner.resolve import load_model
from planner.schema import (
    METHODS,
    STACKS,
    GradientCheckpointingKwargs,
    LoraSettings,
    ParallelismSettings,
    PlanRequest,
    QuantizationSettings,
    parse_request,
)
from ui.names import check_card, model_of

Values = Mapping[str, Any]

#: URL key -> path of the field in the request. The keys are public: links in the wild use them.
FIELDS: dict[str, tuple[str, ...]] = {
    "model": ("model",),
    "method": ("method",),
    "gpu": ("gpu",),
    "num_gpus": ("num_gpus",),
    "num_nodes": ("num_nodes",),
    "strategy": ("parallelism", "strategy"),
    "tensor_parallel_size": ("parallelism", "tensor_parallel_size"),
    "pipeline_parallel_size": ("parallelism", "pipeline_parallel_size"),
    "context_parallel_size": ("parallelism", "context_parallel_size"),
    "expert_parallel_size": ("parallelism", "expert_parallel_size"),
    "offload_optimizer": ("parallelism", "offload_optimizer"),
    "offload_params": ("parallelism", "offload_params"),
    "activation_offloading": ("parallelism", "activation_offloading"),
    "overlap_comm": ("parallelism", "overlap_comm"),
    "stack": ("stack",),
    "max_length": ("max_length",),
    "per_device_train_batch_size": ("per_device_train_batch_size",),
    "gradient_checkpointing": ("gradient_checkpointing",),
    "use_reentrant": ("gradient_checkpointing_kwargs", "use_reentrant"),
    "gradient_accumulation_steps": ("gradient_accumulation_steps",),
    "optim": ("optim",),
    "loss": ("loss",),
    "attn_implementation": ("attn_implementation",),
    "padding": ("padding",),
    "dtype": ("dtype",),
    "mixed_precision": ("mixed_precision",),
    "num_tokens": ("dataset", "num_tokens"),
    "num_examples": ("dataset", "num_examples"),
    "mean_length": ("dataset", "mean_length"),
    "num_train_epochs": ("dataset", "num_train_epochs"),
    "pricing": ("pricing", "kind"),
    "provider": ("pricing", "provider"),
    "usd_per_gpu_hour": ("pricing", "usd_per_gpu_hour"),
    "restart_allowance": ("pricing", "restart_allowance"),
    "purchase_price_usd": ("pricing", "purchase_price_usd"),
    "useful_life_years": ("pricing", "useful_life_years"),
    "power_w": ("pricing", "power_w"),
    "electricity_usd_per_kwh": ("pricing", "electricity_usd_per_kwh"),
    "utilization": ("pricing", "utilization"),
    "lora_r": ("lora", "r"),
    "lora_dropout": ("lora", "lora_dropout"),
    "target_modules": ("lora", "target_modules"),
    "autocast_adapter_dtype": ("lora", "autocast_adapter_dtype"),
    "bnb_4bit_quant_type": ("quantization", "bnb_4bit_quant_type"),
    "bnb_4bit_use_double_quant": ("quantization", "bnb_4bit_use_double_quant"),
    "upcast_unquantized": ("quantization", "upcast_unquantized"),
}

#: The other way round.
_KEYS = {path: key for key, path in FIELDS.items()}

_SUBMODELS: dict[str, type[BaseModel]] = {
    "dataset": DatasetSettings,
    "gradient_checkpointing_kwargs": GradientCheckpointingKwargs,
    "lora": LoraSettings,
    "parallelism": ParallelismSettings,
    "pricing": PricingSettings,
    "quantization": QuantizationSettings,
}

#: The first question, where the schema has no default; and how several cards share, where its default is one card.
FIRST_QUESTION: dict[str, Any] = {
    "model": "meta-llama/Llama-3.1-8B",
    "method": "lora",
    "gpu": "rtx-4090",
    "strategy": "fsdp",
}

#: The choice of stack that leaves it open, which is another question than naming the schema's default.
NO_STACK = "not named"

#: Questions to start from: what a person would ask -> the inputs that differ from the defaults.
EXAMPLES: dict[str, dict[str, Any]] = {
    "Llama 3.3 70B with QLoRA on one RTX 4090?": {
        "model": "meta-llama/Llama-3.3-70B-Instruct",
        "method": "qlora",
        "max_length": 2048,
        "gradient_checkpointing": True,
    },
    "Llama 3.1 8B, all weights, on one H100?": {
        "method": "full",
        "gpu": "h100-sxm",
        "max_length": 4096,
        "gradient_checkpointing": True,
    },
    "Qwen3 4B with LoRA on a 16 GB card?": {
        "model": "Qwen/Qwen3-4B",
        "gpu": "rtx-4080",
        "max_length": 2048,
        "gradient_checkpointing": True,
    },
}

#: A choice of target_modules that stands for the linears of the model's attention.
ATTENTION = "attention"


def _info(key: str) -> FieldInfo:
    """The schema's field that an input fills."""
    *parents, field = FIELDS[key]
    model = _SUBMODELS[parents[0]] if parents else PlanRequest
    return model.model_fields[field]


@cache
def default(key: str) -> Any:
    """The value an input starts with."""
    if key == "stack":
        return NO_STACK
    return FIRST_QUESTION[key] if key in FIRST_QUESTION else _info(key).get_default()


def defaults() -> dict[str, Any]:
    """Every input's first value."""
    return {key: default(key) for key in FIELDS}


def choices(key: str) -> tuple[str, ...]:
    """What the page offers for a field with a fixed list of values: all that the schema allows, but for methods."""
    if key == "method":
        return METHODS
    if key == "stack":
        return (NO_STACK, *STACKS)
    return tuple(OPTIMIZERS) if key == "optim" else get_args(_info(key).annotation)


def description(key: str) -> str:
    """The schema's own words on a field, "" where it has none."""
    return _info(key).description or ""


def request_from_values(values: Values) -> PlanRequest:
    """The request that the inputs ask for; inputs at their defaults are left to the schema, or to the stack.

    Raises PlannerError with one line on the input that breaks a rule.
    """
    data: dict[str, Any] = {}
    left_open = defaults() | stack_fills(str(values.get("stack")), str(values.get("method")))
    for key, value in in_force(values):
        if key == "model":
            value = model_of(str(value), values.get("own_model"))
        elif key == "gpu":
            check_card(str(value))
        if key in FIRST_QUESTION or value != left_open[key]:
            _put(data, FIELDS[key], value)
    targets = data.get("lora", {}).get("target_modules")
    if targets is not None:
        data["lora"]["target_modules"] = _target_modules(str(targets), parse_request({**data, "lora": None}))
    return parse_request(data)


def stack_fills(stack: str, method: str) -> dict[str, Any]:
    """The inputs that a stack has values for, where a request leaves them open."""
    name, _, version = stack.partition("@")
    if stack == "transformers" or name not in STACKS or not re.fullmatch(r"(\d+(\.\d+)*)?", version):
        return {}
    keys = {".".join(path): key for key, path in FIELDS.items()}
    return {keys[row.field]: row.value for row in stack_values(name, version, method) if row.field in keys}


def change_of_stack(held: Values, before: str, after: str, method: str) -> dict[str, Any]:
    """What the inputs become: values that the former stack set go back, those of the new one come in."""
    former = stack_fills(before, method)
    return {key: default(key) for key, value in former.items() if held.get(key) == value} | stack_fills(after, method)


def change_of_method(held: Values, after: str) -> dict[str, Any]:
    """What the inputs become under their stack by another method: what nobody changed follows the stack's values."""
    stack = str(held.get("stack"))
    former, new = stack_fills(stack, str(held.get("method"))), stack_fills(stack, after)
    untouched = [key for key in former | new if held.get(key) in (None, former.get(key, default(key)))]
    return {key: new.get(key, default(key)) for key in untouched}


def in_force(values: Values) -> Iterator[tuple[str, Any]]:
    """Inputs that this question has a use for; those left empty have their first value."""
    filled = {key: default(key) if values.get(key) in (None, "") else values[key] for key in FIELDS}
    unused = set({"full": ("lora", "quantization"), "lora": ("quantization",)}.get(filled["method"], ()))
    if filled["num_gpus"] == 1:
        unused |= {"parallelism", "num_nodes"}
    unused_keys = _unused_of_dataset(filled) | _unused_of_pricing(str(filled["pricing"]))
    if filled["usd_per_gpu_hour"] is not None:
        unused_keys.add("provider")
    return ((k, value) for k, value in filled.items() if FIELDS[k][0] not in unused and k not in unused_keys)


def _unused_of_dataset(filled: Values) -> set[str]:
    """A dataset is counted in tokens, or in examples and their mean length; half of the latter says nothing yet."""
    examples = {"num_examples", "mean_length"}
    if filled["num_tokens"] is not None:
        return examples
    return set() if all(filled[key] is not None for key in examples) else {*examples, "num_tokens", "num_train_epochs"}


#: Terms of a way to pay that no other way has.
TERMS_OF_PRICING = {
    "spot": {"restart_allowance"},
    "owned": {"purchase_price_usd", "useful_life_years", "power_w", "electricity_usd_per_kwh", "utilization"},
}


def _unused_of_pricing(kind: str) -> set[str]:
    """Terms of other ways to pay than the one chosen; owned cards have no provider."""
    others = {key for other, keys in TERMS_OF_PRICING.items() if other != kind for key in keys}
    return others | ({"provider", "usd_per_gpu_hour"} if kind == "owned" else set())


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, field = path
    for parent in parents:
        data = data.setdefault(parent, {})
    data[field] = value


def _target_modules(text: str, request: PlanRequest) -> str | list[str]:
    if text != ATTENTION:
        return [name.strip() for name in text.split(",") if name.strip()]
    return attention_linears(load_model(request).architecture)


def values_from_changes(changes: Mapping[str, Any]) -> dict[str, Any] | None:
    """Changes of a request, nested as its fields, as values of the inputs; None where an input is missing."""
    values = {_KEYS.get(path): value for path, value in leaves(changes)}
    if None in values:
        return None
    return {str(key): ", ".join(v) if isinstance(v, (list, tuple)) else v for key, v in values.items()}


def leaves(changes: Mapping[str, Any], parents: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every field of nested settings, with its path."""
    for name, value in changes.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*parents, name))
        else:
            yield (*parents, name), value
