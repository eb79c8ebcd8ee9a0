"""Every tensor that a training run keeps: parameters, adapters and buffers, with dtype, count and whether they train.

Weights, gradients, optimizer states, 4-bit constants and master copies follow from this list to the byte.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from planner.architecture.blocks import Architecture, Block, Linear, Tensor
from planner.memory.live import ITEMSIZE
from planner.memory.quantized import Storage, storage_of
from planner.memory.quantized_base import casts_norms, compute_dtype, quantized_adapter_dtype, quantized_names
from planner.memory.reach import calls_module, executed_blocks, reads_text
from planner.memory.structure import trains_ranknum
from planner.method_settings import AdapterKind
from planner.methods.experts import adapter_shapes, linears_of_old
from planner.methods.ia3 import ia3_names
from planner.methods.prompts import Shapes, prompt_shapes
from planner.methods.saved import Saved, embedding_module, saved_modules
from planner.methods.spellings import in_this_models_words
from planner.methods.targets import adapted_names
from planner.schema import PlanRequest
from planner.switches import DEFAULT, FsdpKind, LayerCode, LossPath, Switches

Role = Literal["linear", "linear_4bit", "bias", "bias_4bit", "embedding", "norm", "other", "adapter", "buffer"]


@dataclass(frozen=True, slots=True)
class Item:
    """`count` tensors of the same kind: numel elements each, stored in dtype (or in 4 bits).

    reached: the batch runs through it; what it does not reach gets no gradient, and so no optimizer states.
    """

    name: str
    role: Role
    numel: int
    count: int
    dtype: str
    trainable: bool
    shape: tuple[int, ...]
    reached: bool = True

    @property
    def has_gradient(self) -> bool:
        return self.trainable and self.reached

    @property
    def elements(self) -> int:
        return self.numel * self.count


@dataclass(frozen=True, slots=True)
class Setup:
    """How the method treats the model: which linears and expert stacks are adapted, which linears quantized, dtypes.

    kept_dtype: of parameters that stay unquantized; float32 after prepare_model_for_kbit_training. adapter_dtype: of
    adapters of quantized linears; stack_adapter_dtype: of all others. as_linears: roles of tensors that are linears, as
    in transformers 4: experts, which then run one by one, and routers. quantized_experts:
    the linears in stacks of experts are quantized one by one, as they were modules when that was done. saved: what
    modules_to_save trains. feedforward: linears whose input (IA)^3 scales. prompts: tensors of a prompt encoder.
    """

    adapted: frozenset[str]
    quantized: frozenset[str]
    dtype: str
    kept_dtype: str
    compute_dtype: str
    adapter_dtype: str
    stack_adapter_dtype: str
    loss: LossPath = "full"
    storage: Storage | None = None
    as_linears: frozenset[str] = frozenset()
    quantized_experts: bool = False
    fsdp: FsdpKind = "per_parameter"
    fused_kernels: bool = False
    foak: bool = False
    repeats_keys: bool = False
    saved: frozenset[Saved] = frozenset()
    train_base: bool = False
    holds_4bit_input: bool = False
    layer_code: LayerCode = "transformers"
    halves_weights: bool = False
    wide_norms: bool = False
    keeps_graph: bool = False
    kind: AdapterKind = "lora"
    feedforward: frozenset[str] = frozenset()
    prompts: Shapes = ()
    device: str = "cuda"


#: Stacks with names of their own for the linears.
_OWN_NAMES = ("litgpt", "torchtune")


def resolve_setup(request: PlanRequest, architecture: Architecture, switches: Switches = DEFAULT) -> Setup:
    """Names and dtypes that follow from the request.

    Raises RequestError where target_modules matches nothing.
    """
    lora, quantization = request.lora_settings, request.quantization_settings
    other_spellings = not request.names_stack or request.stack.startswith(_OWN_NAMES)
    if lora is not None and other_spellings:
        lora = in_this_models_words(architecture, lora)
    feedforward: frozenset[str] = frozenset()
    is_checkpoint = quantization is not None and quantization.is_checkpoint
    as_linears = linears_of_old(architecture) if switches.expert_modules or is_checkpoint else frozenset()
    adapted = (
        adapted_names(architecture, lora, bool(as_linears), request.adapter_kind) if lora is not None else frozenset()
    )
    if request.method == "ia3":
        adapted, feedforward = ia3_names(architecture)
    upcast_adapters = lora is None or lora.autocast_adapter_dtype
    kept = "float32" if request.upcasts_unquantized else request.dtype
    return Setup(
        adapted=adapted,
        quantized=quantized_names(architecture, switches, adapted) if quantization is not None else frozenset(),
        dtype=request.dtype,
        kept_dtype=kept,
        compute_dtype=compute_dtype(request, quantization),
        adapter_dtype="float32" if upcast_adapters else quantized_adapter_dtype(request, quantization),
        stack_adapter_dtype="float32" if upcast_adapters else kept,
        loss=switches.loss_path(request.loss),
        storage=storage_of(quantization, request.dtype) if quantization is not None else None,
        train_base=request.method == "full",
        holds_4bit_input=switches.holds_4bit_input,
        layer_code=switches.layer_code,
        halves_weights=switches.halves_weights,
        wide_norms=switches.wide_norms and casts_norms(request),
        keeps_graph=switches.keeps_graph,
        kind=request.adapter_kind,
        device=request.device,
        feedforward=feedforward,
        prompts=prompt_shapes(request, architecture),
        saved=saved_modules(architecture, lora.modules_to_save, other_spellings) if lora is not None else frozenset(),
        as_linears=as_linears,
        quantized_experts=is_checkpoint or (quantization is not None and bool(as_linears)),
        fsdp=switches.fsdp,
        fused_kernels=switches.fused_kernels,
        foak=switches.foak,
        repeats_keys=switches.repeats_keys,
    )


def inventory(request: PlanRequest, architecture: Architecture, setup: Setup) -> tuple[Item, ...]:
    """All tensors that live with the model, tied ones once."""
    rank = request.lora_settings.r if request.lora_settings else 0
    executed = executed_blocks(architecture)
    items: list[Item] = []
    for block in architecture.blocks:
        found = block_items(block, setup, rank)
        items += found if block in executed else unreached(found)
    for linear in architecture.linears:
        found = _linear(linear.name, linear, 1, setup, rank)
        items += found if reads_text(linear.name) else unreached(found)
    for tensor in architecture.tensors:
        found = [_tensor(tensor.name, tensor, 1, setup)]
        items += found if reads_text(tensor.name) else unreached(found)
    if architecture.head is not None:
        items += _head(architecture, setup, rank)
    items += _saved_copies(architecture, setup)
    items += [Item(name, "adapter", prod(shape), 1, "float32", True, shape) for name, shape in setup.prompts]
    items += [_buffer(t, setup) for t in architecture.buffers]
    return tuple(items)


def unreached(items: Iterable[Item]) -> list[Item]:
    """The same tensors, where no batch of text comes."""
    return [replace(item, reached=False) for item in items]


def block_items(block: Block, setup: Setup, rank: int) -> list[Item]:
    """The tensors of one kind of layer, each `count` times."""
    items: list[Item] = []
    for linear in block.linears:
        items += _linear(f"{block.prefix}.*.{linear.name}", linear, block.count, setup, rank)
    for tensor in block.tensors:
        items += _with_adapter(f"{block.prefix}.*.{tensor.name}", tensor, block.count, setup, rank)
    return items


def _saved_copies(architecture: Architecture, setup: Setup) -> list[Item]:
    """ModulesToSaveWrapper's copies (peft 0.21 utils/other.py): in the dtype of the originals, which stay."""
    copies: list[Item] = []
    if "embedding" in setup.saved:
        name = f"{embedding_module(architecture)}.modules_to_save"
        table = next(t for t in architecture.tensors if t.role == "embedding" and architecture.vocab_size in t.shape)
        copies.append(Item(name, "embedding", table.numel, 1, setup.kept_dtype, True, table.shape))
    head = architecture.head
    if "head" in setup.saved and head is not None:
        shape, name = (head.out_features, head.in_features), f"{head.name}.modules_to_save"
        copies.append(Item(f"{name}.weight", "linear", head.weight_numel, 1, setup.kept_dtype, True, shape))
        if head.bias:
            copies.append(Item(f"{name}.bias", "bias", head.bias_numel, 1, setup.kept_dtype, True, shape[:1]))
    return copies


def _linear(name: str, linear: Linear, count: int, setup: Setup, rank: int) -> list[Item]:
    full = setup.train_base
    quantized = name in setup.quantized and linear.quantizable
    role: Role = "linear_4bit" if quantized else "linear"
    shape = (linear.out_features, linear.in_features)
    items = [Item(f"{name}.weight", role, linear.weight_numel, count, setup.kept_dtype, full, shape)]
    if linear.bias:
        bias_role: Role = "bias_4bit" if quantized else "bias"
        dtype = _bias_dtype(quantized, setup)
        items.append(Item(f"{name}.bias", bias_role, linear.bias_numel, count, dtype, full, shape[:1]))
    if name in setup.adapted:
        dtype = setup.adapter_dtype if quantized else setup.stack_adapter_dtype
        adapters = _linear_adapter(name, shape, count, setup, dtype, rank)
        items += adapters if calls_module(name, quantized) else unreached(adapters)
    return items


def _linear_adapter(name: str, shape: tuple[int, int], count: int, setup: Setup, dtype: str, rank: int) -> list[Item]:
    """What a method adds to one linear.

    DoRA: a magnitude an output (peft 0.21 lora/dora.py). AdaLoRA: r singular values and a count (adalora/layer.py).
    (IA)^3: a vector over the output, or over the input of a feedforward module (ia3/layer.py).
    """
    if setup.kind == "ia3":
        width = shape[1] if name in setup.feedforward else shape[0]
        return [Item(f"{name}.ia3_l", "adapter", width, count, dtype, True, (width, 1))]
    items = _adapter(name, shape, count, dtype, rank)
    if setup.kind == "dora":
        items.append(Item(f"{name}.lora_magnitude_vector", "adapter", shape[0], count, dtype, True, shape[:1]))
    if setup.kind == "adalora":
        items.append(Item(f"{name}.lora_E", "adapter", rank, count, dtype, True, (rank, 1)))
        weight_dtype = setup.compute_dtype if name in setup.quantized else setup.kept_dtype
        items.append(
            Item(f"{name}.ranknum", "adapter", 1, count, dtype, trains_ranknum(setup.device, weight_dtype), (1,))
        )
    return items


def _adapter(name: str, shape: tuple[int, ...], count: int, dtype: str, rank: int) -> list[Item]:
    parts = zip(("lora_A", "lora_B"), adapter_shapes(name, shape, rank), strict=True)
    return [Item(f"{name}.{p}", "adapter", a * b, count, dtype, True, (a, b)) for p, (a, b) in parts]


def _bias_dtype(quantized: bool, setup: Setup) -> str:
    # bitsandbytes' Linear4bit casts its bias to the dtype of its input at the first forward, in place
    return setup.compute_dtype if quantized else setup.kept_dtype


def _head(architecture: Architecture, setup: Setup, rank: int) -> list[Item]:
    head = architecture.head
    assert head is not None
    items = _linear(head.name, head._replace(quantizable=True), 1, setup, rank)  # setup.quantized decides
    return items[1:] if architecture.tied else items


def _with_adapter(name: str, tensor: Tensor, count: int, setup: Setup, rank: int) -> list[Item]:
    item, is_linear = _tensor(name, tensor, count, setup), tensor.role in setup.as_linears
    is_stack = tensor.role == "experts" and len(tensor.shape) == 3
    if is_linear or (is_stack and setup.quantized_experts):
        item = _as_linears(item, setup)
    if name not in setup.adapted:
        return [item]
    quantized = item.role == "linear_4bit" and is_linear
    dtype = setup.adapter_dtype if quantized else tensor.dtype or setup.stack_adapter_dtype
    if is_linear:
        out, inner = item.shape
        return [item, *_linear_adapter(name, (out, inner), item.count, setup, dtype, rank)]
    return [item, *_adapter(name, tensor.shape, count, dtype, rank)]


def _as_linears(tensor: Item, setup: Setup) -> Item:
    """The linears that a router or a stack of experts was: gate and up apart, each expert's its own."""
    experts, out, inner = (1, *tensor.shape)[-3:]
    fused = 2 if tensor.name.endswith("gate_up_proj") else 1
    shape = (out // fused, inner)
    role: Role = "linear_4bit" if setup.quantized_experts else "linear"
    return replace(tensor, role=role, numel=prod(shape), count=tensor.count * experts * fused, shape=shape)


def _tensor(name: str, tensor: Tensor, count: int, setup: Setup) -> Item:
    role: Role = tensor.role if tensor.role in ("embedding", "norm") else "other"
    dtype = tensor.dtype or ("float32" if role == "norm" and setup.wide_norms else setup.kept_dtype)
    return Item(name, role, tensor.numel, count, dtype, setup.train_base, tensor.shape)


def _buffer(tensor: Tensor, setup: Setup) -> Item:
    return Item(tensor.name, "buffer", tensor.numel, 1, tensor.dtype or setup.dtype, False, tensor.shape)


# -- bytes -----------------------------------------------------------------------------------------------------------


def stored_bytes(item: Item, storage: Storage | None) -> int:
    """Bytes of one tensor as it is kept during training."""
    if item.role == "linear_4bit":
        assert storage is not None
        return storage.codes_bytes(item.shape, item.numel) + storage.constants_bytes(item.shape, item.numel)
    return item.numel * ITEMSIZE[item.dtype]
