"""The planner's lines on the page: fields of the request stand under the labels of the inputs that fill them.

The planner names fields, as the command line and request files spell them. Nothing here imports streamlit.
"""

import re
from functools import cache

from ui import state

#: URL key of an input -> its label.
LABELS = {
    "model": "Model",
    "method": "Method",
    "gpu": "GPU",
    "num_gpus": "Number of GPUs",
    "num_nodes": "Nodes",
    "strategy": "Shared by",
    "tensor_parallel_size": "Tensor parallel",
    "pipeline_parallel_size": "Pipeline parallel",
    "context_parallel_size": "Context parallel",
    "expert_parallel_size": "Expert parallel",
    "offload_optimizer": "Optimizer states on the host",
    "offload_params": "Parameters on the host",
    "activation_offloading": "Activations on the host",
    "overlap_comm": "Exchange beside computation",
    "stack": "Training stack",
    "max_length": "Length in tokens",
    "per_device_train_batch_size": "Batch size",
    "gradient_checkpointing": "Gradient checkpointing",
    "use_reentrant": "Reentrant form",
    "gradient_accumulation_steps": "Accumulation steps",
    "optim": "Optimizer",
    "loss": "Loss",
    "attn_implementation": "Attention",
    "padding": "Padding",
    "dtype": "Weights' dtype",
    "mixed_precision": "Mixed precision",
    "num_tokens": "Tokens",
    "num_examples": "or examples",
    "mean_length": "of a mean length",
    "num_train_epochs": "Epochs",
    "pricing": "Paid for",
    "provider": "Provider",
    "usd_per_gpu_hour": "Own price",
    "restart_allowance": "Lost to restarts",
    "purchase_price_usd": "Price of a card in USD",
    "useful_life_years": "Years of use",
    "power_w": "Watts at work",
    "electricity_usd_per_kwh": "USD a kWh",
    "utilization": "Share of hours at work",
    "lora_r": "Rank",
    "lora_dropout": "Dropout",
    "target_modules": "Target modules",
    "autocast_adapter_dtype": "Adapters in float32",
    "bnb_4bit_quant_type": "4-bit type",
    "bnb_4bit_use_double_quant": "Double quantization",
    "upcast_unquantized": "Upcast the rest to float32",
    "max_num_seqs": "Sequences at one time",
    "max_model_len": "Tokens a sequence",
    "max_num_batched_tokens": "Tokens of one pass",
    "kv_cache_dtype": "Cache in",
}
#: What a field's value is called on a switch.
_SWITCHED = {"true": "on", "false": "off"}


def on_page(line: str) -> str:
    """A note or a refusal with the inputs' labels, in bold, in the place of the fields' names.

    A name that is a word of the language too (loss, model) is one only where it stands as a field does: first in a
    refusal, in brackets with its value, or with its value in a list. Commands in backquotes stay.
    """
    parts = re.split("(`[^`]*`)", line)
    parts[::2] = [_labelled(part, first=not number) for number, part in enumerate(parts[::2])]
    return "".join(parts)


def _labelled(text: str, first: bool) -> str:
    every, sure = _pattern(False), _pattern(True)
    if first:
        text = re.sub(rf"^({every})(?=: )", _label, text)
    text = re.sub(rf"(?<=\()({every})(?=: )", _label, text)
    text = re.sub(rf"(?<=[:,] )({every})(?= [\w.]+(, |$))", _label, text)
    text = re.sub(rf"(?<![\w.*'])({sure})(?![\w.*'=])", _label, text)
    return re.sub(r"(\*\*):? (true|false)\b", lambda found: f"{found[1]} {_SWITCHED[found[2]]}", text)


def _label(found: re.Match[str]) -> str:
    return f"**{_names()[found[1]]}**"


@cache
def _names() -> dict[str, str]:
    """Every spelling of a field -> its input's label: its path, and its own name where no other field has it."""
    found = {".".join(path): LABELS[key] for key, path in state.FIELDS.items()}
    found |= {key: label for key, label in LABELS.items() if key not in state.FIELDS}
    last = [path[-1] for path in state.FIELDS.values()]
    return found | {path[-1]: LABELS[key] for key, path in state.FIELDS.items() if last.count(path[-1]) == 1}


@cache
def _pattern(sure: bool) -> str:
    """The names as a regular expression, longest first. sure: only those that are no words of the language."""
    names = (name for name in _names() if not sure or re.search("[_.]", name))
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
