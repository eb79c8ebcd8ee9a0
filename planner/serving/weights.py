"""The weights on the card: one base as it is loaded to answer, and what each adapter adds to it."""

from collections.abc import Iterable
from dataclasses import replace

from planner.architecture.blocks import Architecture
from planner.memory.inventory import Item, Setup, inventory, resolve_setup, stored_bytes
from planner.memory.live import ITEMSIZE
from planner.memory.quantized import storage_of
from planner.memory.terms import weight_terms
from planner.methods.targets import quantized_linears
from planner.schema import LoraSettings, PlanRequest
from planner.serving.answer import ServingTerm
from planner.serving.forward import Forward, forward_of
from planner.serving.request import AdapterGroup, ServeRequest

_PEFT = "Hu et al. 2021 (LoRA), section 4.1: B in R^(d x r), A in R^(r x k); peft 0.21 tuners/lora/layer.py"


def base_setup(request: ServeRequest, architecture: Architecture) -> Setup:
    """The base without training: quantized where asked for, the rest in the request's dtype, nothing cast up."""
    setup = resolve_setup(trained_as(request, None), architecture)
    quantization = request.quantization
    if quantization is None:
        return replace(setup, train_base=False)
    return replace(
        setup,
        train_base=False,
        quantized=quantized_linears(architecture),
        storage=storage_of(quantization, request.dtype),
        compute_dtype=quantization.bnb_4bit_compute_dtype or request.dtype,
        quantized_experts=quantization.is_checkpoint,
    )


def trained_as(request: ServeRequest, lora: LoraSettings | None) -> PlanRequest:
    """The run that makes such weights, whose rules of names and dtypes hold for what is loaded later."""
    quantization = None
    if lora is not None and request.quantization is not None:
        quantization = request.quantization.model_copy(update={"upcast_unquantized": False})
    return PlanRequest(
        model=request.model,
        method="full" if lora is None else "lora" if quantization is None else "qlora",
        dtype=request.dtype,
        lora=lora,
        quantization=quantization,
    )


def base_items(request: ServeRequest, architecture: Architecture, setup: Setup) -> tuple[Item, ...]:
    """Every tensor of the base."""
    return inventory(trained_as(request, None), architecture, setup)


def base_terms(items: tuple[Item, ...], setup: Setup) -> list[ServingTerm]:
    """The base by kind and dtype."""
    return [
        ServingTerm(t.name, "base", t.bytes, t.formula, t.inputs, t.source, t.certainty)
        for t in weight_terms(items, setup, 1)
    ]


def weights_bytes(items: Iterable[Item], setup: Setup) -> int:
    """Bytes of these tensors as they are kept."""
    return sum(stored_bytes(item, setup.storage) * item.count for item in items)


def forward(request: ServeRequest, architecture: Architecture, base: Setup) -> Forward:
    """A pass through the base, with one of its largest adapters, unmerged, as PEFT runs it.

    vLLM's kernels attend in tiles and add adapters r wide: theirs is the pass of the base alone.
    """
    if request.engine == "vllm":
        run = trained_as(request, None).model_copy(update={"attn_implementation": "flash_attention_2"})
        return forward_of(run, architecture, base)
    if not request.adapters:
        return forward_of(trained_as(request, None), architecture, base)
    largest = max(request.adapters, key=lambda group: group.lora.r)
    run = trained_as(request, largest.lora)
    return forward_of(run, architecture, resolve_setup(run, architecture))


# -- adapters --------------------------------------------------------------------------------------------------------


def adapter_items(request: ServeRequest, architecture: Architecture, group: AdapterGroup) -> tuple[Item, ...]:
    """The tensors of one adapter: A and B of each adapted linear, and whole modules saved with it.

    Raises RequestError where target_modules matches nothing.
    """
    run = trained_as(request, group.lora)
    return tuple(i for i in inventory(run, architecture, resolve_setup(run, architecture)) if i.trainable)


def adapter_bytes(items: Iterable[Item]) -> int:
    """One adapter, on the card as in its file (adapter_model.safetensors, without the header)."""
    return sum(item.elements * ITEMSIZE[item.dtype] for item in items)


def adapter_terms(groups: Iterable[tuple[AdapterGroup, tuple[Item, ...]]]) -> list[ServingTerm]:
    """A term for each group of adapters that are alike."""
    return [_adapter_term(group, items) for group, items in groups]


def _adapter_term(group: AdapterGroup, items: tuple[Item, ...]) -> ServingTerm:
    by_size = {size: sum(i.elements for i in items if ITEMSIZE[i.dtype] == size) for size in (2, 4)}
    sizes = {size: count for size, count in by_size.items() if count}
    formula = " + ".join(f"{size} x parameters_{8 * size}" for size in sizes)
    inputs: dict[str, int | float | str] = {"count": group.count, "r": group.lora.r}
    inputs |= {f"parameters_{8 * size}": count for size, count in sizes.items()}
    return ServingTerm(
        name=f"adapters of rank {group.lora.r:,}",
        part="adapters",
        bytes=group.count * adapter_bytes(items),
        formula=f"count x ({formula})" if len(sizes) > 1 else f"count x {formula}",
        inputs=inputs,
        source=_PEFT,
        certainty="exact",
    )
