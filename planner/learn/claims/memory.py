"""Claims about how much memory a method needs, in parts and in all."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

from planner.answer import Plan
from planner.catalog.references import find_reference
from planner.catalog.rows.claim import ClaimRow
from planner.estimate import estimate
from planner.learn.claims.checked import Checked, Found, agreed, judged, together, within
from planner.learn.claims.settings import CHECKPOINTING, models_of, needed_gb, request_of
from planner.memory.inventory import Item
from planner.memory.quantized import constants_bytes, packed_bytes
from planner.prepare import prepare
from planner.units import GB, ITEMSIZE


def needs(row: ClaimRow) -> Checked:
    """One range for one method."""
    assert row.model_b is not None and row.low is not None and row.high is not None
    found = needed_gb(row.model_b, row.method)
    checked = judged(found, row.low, row.high, "GB")
    weights = [weights_gb(model, row.method) for model in models_of(row.model_b)]
    checked.facts.put("least_weights", min(weights), "quoted_gb", "architecture: weights alone, the smallest model")
    checked.facts.put("most_weights", max(weights), "quoted_gb", "architecture: weights alone, the largest model")
    return checked


@cache
def weights_gb(model: str, method: str) -> float:
    """Weights as the method holds them by default, without adapters."""
    _, prepared = prepare(request_of({"model": model, "method": method}))
    adapters = sum(i.elements * ITEMSIZE[i.dtype] for i in prepared.static.items if i.role == "adapter")
    return (prepared.static.weights - adapters) / GB


def three_methods(row: ClaimRow) -> Checked:
    """A figure for each method."""
    assert row.model_b is not None
    return together({name: judged(needed_gb(row.model_b, name), *stated, "GB") for name, stated in row.parts})


# -- against full fine-tuning ----------------------------------------------------------------------------------------


def saving(row: ClaimRow) -> Checked:
    """Percent saved against full fine-tuning of the same model, batch, length and checkpointing."""
    assert row.model_b is not None
    stated = dict(row.parts) or {row.method: (row.low or 0, row.high or 0)}
    parts = {
        method: judged(list(_saved(row.model_b, method)), *edges, "percent saved") for method, edges in stated.items()
    }
    return together(parts)


def _saved(billions: float, method: str) -> Iterator[Found]:
    whole: dict[tuple[str, ...], list[Found]] = {}
    for one in needed_gb(billions, "full"):
        whole.setdefault(_key(one), []).append(one)
    for one in needed_gb(billions, method):
        for full in whole[_key(one)]:
            words = dict(full.settings) | dict(one.settings)
            yield Found(words, round(100 * (1 - one.value / full.value), 1))


def _key(found: Found) -> tuple[str, ...]:
    return tuple(found.settings[name] for name in ("model", "checkpointing", "tokens"))


# -- in parts --------------------------------------------------------------------------------------------------------

_PARTS: dict[str, Callable[[Plan], float]] = {
    "weights": lambda plan: plan.weights_bytes - _adapters(plan),
    "gradients": lambda plan: max(moment.live_bytes["gradients"] for moment in plan.timeline),
    "optimizer": lambda plan: max(moment.live_bytes["optimizer"] for moment in plan.timeline),
    "adapters": lambda plan: _adapters(plan),
    "activations": lambda plan: max(m.live_bytes["activations"] + m.live_bytes["logits"] for m in plan.timeline),
    "total": lambda plan: plan.needed_bytes,
}


def _adapters(plan: Plan) -> int:
    return sum(term.bytes for term in plan.terms if term.name.startswith("adapters"))


def in_parts(row: ClaimRow) -> Checked:
    """Every part of a breakdown at once: a setting agrees where each part does."""
    assert row.model_b is not None
    found, agrees, parts = [], [], []
    for words, plan in _plans(row.model_b, row.method):
        values = {name: _PARTS[name](plan) / GB for name, _ in row.parts}
        found.append(Found(words, values["total"]))
        agrees.append(all(within(values[name], *stated) for name, stated in row.parts))
        parts.append(values)
    checked = agreed(found, agrees, "GB")
    for name, stated in row.parts:
        sizes = [each[name] for each in parts]
        checked.facts.put(f"low_{name}", min(sizes), "quoted_gb", f"plan ({row.method}): smallest {name}")
        checked.facts.put(f"high_{name}", max(sizes), "quoted_gb", f"plan ({row.method}): largest {name}")
        agreeing = sum(within(size, *stated) for size in sizes)
        checked.facts.put(f"share_{name}", agreeing / len(sizes), "share", f"settings in which {name} agrees")
    return checked


_LENGTHS = (512, 2048)
#: Models whose parts are held against a breakdown: one a model_type, the best known first.
_MODELS = 6
_ADAPTERS: dict[str, dict[str, Any]] = {
    "r 8 on the attention": {"r": 8, "target_modules": "attention"},
    "r 8 on all-linear": {"r": 8, "target_modules": "all-linear"},
    "r 16 on all-linear": {"r": 16, "target_modules": "all-linear"},
}


def _plans(billions: float, method: str) -> Iterator[tuple[Mapping[str, str], Plan]]:
    """Plans of the recipe that a breakdown has in mind, and of what else it leaves open."""
    recipes: dict[str, dict[str, Any]] = {"adamw_torch_fused": {"optim": "adamw_torch_fused"}}
    recipes["paged_adamw_32bit"] = {"optim": "paged_adamw_32bit"}
    adapters: dict[str, dict[str, Any]] = {"": {}}
    if method != "full":
        adapters = {f"{name}, fp32": {"lora": lora} for name, lora in _ADAPTERS.items()}
        own_dtype = {"autocast_adapter_dtype": False}
        adapters |= {f"{name}, 16-bit": {"lora": lora | own_dtype} for name, lora in _ADAPTERS.items()}
    axes = models_of(billions)[:_MODELS], recipes.items(), adapters.items(), CHECKPOINTING.items(), _LENGTHS
    for model, (recipe, optim), (name, lora), (checkpointing, on), length in product(*axes):
        words = {
            "model": model,
            "optimizer": recipe,
            "checkpointing": checkpointing,
            "tokens": f"1 x {length:,} tokens",
        }
        words |= {"adapters": name} if name else {}
        fields = {"model": model, "method": method, "gradient_checkpointing": on, "max_length": length}
        yield words, estimate(request_of(fields | optim | lora))


# -- weights ---------------------------------------------------------------------------------------------------------


def weights(row: ClaimRow) -> Checked:
    """Weights alone, in 16 bits and quantized: as the stacks hold them."""
    assert row.model_b is not None
    models, parts = models_of(row.model_b), {}
    for method, stated in row.parts:
        found = [Found({"model": model}, weights_gb(model, method)) for model in models]
        parts[method] = judged(found, *stated, "GB")
    checked = together(parts)
    codes = [sum(packed_bytes(i.numel) * i.count for i in _quantized(model)) / GB for model in models]
    checked.facts.put("least_codes", min(codes), "quoted_gb", "architecture: codes of the quantized linears")
    checked.facts.put("most_codes", max(codes), "quoted_gb", "architecture: codes of the quantized linears")
    return checked


def double_quantization(row: ClaimRow) -> Checked:
    """What double quantization saves of one model's constants."""
    assert row.model_b is not None and row.low is not None and row.high is not None
    found = []
    for model in models_of(row.model_b):
        items = _quantized(model)
        saved = sum((constants_bytes(i.numel, False) - constants_bytes(i.numel, True)) * i.count for i in items)
        found.append(Found({"model": model}, saved / GB))
    checked = judged(found, row.low, row.high, "GB")
    checked.facts.cite(paper_bits="qlora-double-quant")
    bits = find_reference("qlora-double-quant").value
    assert bits is not None
    checked.facts.put("parameters", int(row.model_b * 10**9), "count", "the claim's own size")
    checked.facts.put("nominal", row.model_b * bits / 8, "quoted_gb", "parameters x the paper's bits / bits a byte")
    checked.sources = ("qlora-double-quant",)
    return checked


def _quantized(model: str) -> list[Item]:
    _, prepared = prepare(request_of({"model": model, "method": "qlora"}))
    return [item for item in prepared.static.items if item.role == "linear_4bit"]
