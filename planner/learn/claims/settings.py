"""The settings that a claim leaves open, and plans over all of them.

Models: those of the catalogue of about the stated size, one a model_type, text only and without experts. The rest is
what people set: precision, optimizer, stack, rank, targets, checkpointing, batch and length.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from planner.architecture.blocks import Architecture, Moe
from planner.catalog import list_models
from planner.learn.claims.checked import Found
from planner.memory.reach import reads_text
from planner.memory.runtime import device_bytes
from planner.methods.attention_names import attention_linears
from planner.methods.targets import quantized_linears
from planner.resolve import learned_positions, load_model
from planner.schema import PlanRequest, parse_request
from planner.units import GB

#: Parameters of a model that people call by a size: a "7B" has 6.5 to 7.8 billion.
_SIZE_RANGE = (0.93, 1.12)
#: (per_device_train_batch_size, max_length).
SIZES = ((1, 512), (1, 2048), (1, 4096), (4, 512), (4, 2048), (8, 2048))

#: Of several models of one model_type, theirs stands for it.
_FIRST = ("meta-llama/", "mistralai/", "Qwen/")

CHECKPOINTING = {"without checkpointing": False, "with checkpointing": True}
#: Few adapters, and many.
_ADAPTERS: dict[str, dict[str, Any]] = {
    "r 8 on the attention": {"lora": {"r": 8, "target_modules": "attention"}},
    "r 64 on all-linear": {"lora": {"r": 64, "target_modules": "all-linear"}},
}
_PRECISION: dict[str, dict[str, Any]] = {
    "bfloat16": {"dtype": "bfloat16"},
    "float32 under bf16 autocast": {"dtype": "float32", "mixed_precision": "bf16"},
}
_OPTIMIZERS = ("adamw_torch_fused", "adamw_8bit", "adafactor")
_STACKS = ("transformers", "unsloth")


@dataclass(frozen=True, slots=True)
class Setting:
    """A request without batch and length, and what is set in it, in words."""

    words: tuple[tuple[str, str], ...]
    request: PlanRequest


@cache
def models_of(billions: float) -> tuple[str, ...]:
    """Text models of about this size, one a model_type."""
    low, high = (billions * edge * 1e9 for edge in _SIZE_RANGE)
    found: dict[str, str] = {}
    for row in sorted(list_models(), key=lambda row: not row.id.startswith(_FIRST)):
        if low <= row.params <= high and row.model_type not in found and _is_plain(row.id):
            found[row.model_type] = row.id
    return tuple(found.values())


def _is_plain(model: str) -> bool:
    """A decoder of text, every parameter in every token's way, linears that bitsandbytes quantizes (not Falcon's)."""
    architecture = architecture_of(model)
    blocks = architecture.blocks
    if not quantized_linears(architecture) or any(isinstance(b.mlp, Moe) or b.cross_attention for b in blocks):
        return False
    return all(reads_text(f"{block.prefix}.0") for block in blocks)


def architecture_of(model: str) -> Architecture:
    """The architecture of a model of the catalogue."""
    return load_model(parse_request({"model": model, "method": "full"})).architecture


def settings_of(billions: float, method: str) -> Iterator[Setting]:
    """All combinations that a claim about a method leaves open."""
    axes: list[dict[str, dict[str, Any]]] = [
        {model.rpartition("/")[2]: {"model": model} for model in models_of(billions)},
        {name: {"gradient_checkpointing": on} for name, on in CHECKPOINTING.items()},
    ]
    names = ["model", "checkpointing"]
    if method == "full":
        axes += [_PRECISION, {optim: {"optim": optim} for optim in _OPTIMIZERS}]
        names += ["precision", "optimizer"]
    else:
        axes += [_ADAPTERS, {stack: {"stack": stack} for stack in _STACKS}]
        names += ["adapters", "stack"]
    for chosen in product(*(axis.items() for axis in axes)):
        words = tuple(zip(names, (word for word, _ in chosen), strict=True))
        fields: dict[str, Any] = {"method": method}
        for _, value in chosen:
            fields |= value
        yield Setting(words, request_of(fields))


def request_of(fields: dict[str, Any]) -> PlanRequest:
    """A request, "attention" among its targets put into the model's own names."""
    lora = fields.get("lora")
    if lora and lora.get("target_modules") == "attention":
        fields = fields | {"lora": lora | {"target_modules": attention_linears(architecture_of(fields["model"]))}}
    return parse_request(fields)


def sizes_of(model: str) -> list[tuple[int, int]]:
    """Those that the model has positions for."""
    limit = learned_positions(architecture_of(model))
    return [size for size in SIZES if limit is None or size[1] <= limit]


@cache
def needed_gb(billions: float, method: str) -> tuple[Found, ...]:
    """What a run needs of a card, in GB (10^9) as claims say it, for every combination and size."""
    from planner.grid import tensors

    found = []
    for setting in settings_of(billions, method):
        sizes = sizes_of(str(setting.request.model))
        plans = tensors(setting.request, *zip(*sizes, strict=True))
        needed = device_bytes(plans.peak_bytes, plans.cached_bytes, setting.request, plans.band).needed
        for (batch, length), value in zip(sizes, needed.tolist(), strict=True):
            words = dict(setting.words) | {"tokens": f"{batch} x {length:,} tokens"}
            found.append(Found(words, value / GB))
    return tuple(found)
