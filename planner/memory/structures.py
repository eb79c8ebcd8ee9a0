"""From a request to the structures of its tapes: the model around its layers, and each kind of layer."""

from dataclasses import replace

from planner.architecture.blocks import Architecture, Block, Moe
from planner.memory.attention_support import has_sdpa
from planner.memory.dims import (
    block_roles,
    block_shape,
    linears_beside,
    model_shape,
)
from planner.memory.foak import PATCHED
from planner.memory.inventory import Setup
from planner.memory.layers import GENERIC, LITGPT, layer_family, runs_in_litgpt
from planner.memory.loops import pass_tokens
from planner.memory.reach import executed_blocks
from planner.memory.structure import OWN_INPUTS, AttentionName, Regime, Roles, Structure
from planner.schema import PlanRequest

AUTOCAST = {"no": None, "bf16": "bfloat16", "fp16": "float16"}

#: Families whose flash attention repeated keys itself, until transformers 4.48 (MistralFlashAttention2.forward).
_REPEATING = ("mistral", "mixtral")


def structures(
    request: PlanRequest, architecture: Architecture, setup: Setup, regime: Regime, gradients_exist: bool
) -> tuple[Structure, list[tuple[Block, Structure]]]:
    """The structure of the model around its layers, and of each kind of layer."""
    base = _structure(request, architecture, setup, regime, gradients_exist)
    layers = []
    for block in executed_blocks(architecture):
        window = block.attention.sliding_window if block.attention else None
        own = _of_block(base, block, architecture, setup, window in regime.full_windows)
        layers.append((block, _of_loop(own, block, regime)))
    return base, layers


def _of_loop(structure: Structure, block: Block, regime: Regime) -> Structure:
    """The same with what the length decides of the block's recurrence."""
    loop = next((loop for loop in regime.loops if loop.tokens == pass_tokens(block)), None)
    if loop is None:
        return structure
    whole = loop.whole and (structure.block.mixer == "mamba" or structure.kept_dtype == "float32")
    return replace(structure, loop_passes=loop.passes, whole_chunks=whole)


def _structure(
    request: PlanRequest, architecture: Architecture, setup: Setup, regime: Regime, gradients_exist: bool
) -> Structure:
    lora = request.lora_settings
    full = request.method == "full"
    family, shape = family_of(setup, architecture), model_shape(architecture)
    if family == GENERIC:
        read = (x.leaf for x in linears_beside(architecture) if x.in_features == architecture.hidden_size)
        shape = replace(shape, roles=Roles(beside=tuple(read)))
    checkpointing = request.gradient_checkpointing
    reentrant = request.gradient_checkpointing_kwargs.use_reentrant
    return Structure(
        family=family,
        block=shape,
        dtype=setup.dtype,
        kept_dtype=setup.kept_dtype,
        compute_dtype=setup.compute_dtype,
        adapter_dtype=setup.adapter_dtype,
        stack_adapter_dtype=setup.stack_adapter_dtype,
        train_base=full,
        adapted=frozenset(linear.leaf for linear in architecture.linears if linear.name in setup.adapted),
        quantized=_quantized_leaves(architecture, setup),
        adapter_dropout=lora is not None and lora.lora_dropout > 0,
        double_quant=setup.storage is not None and setup.storage.double_quant,
        quantization=setup.storage.method if setup.storage is not None else "bnb_4bit",
        attention=attention_of(request, architecture),
        mask=request.padding,
        window_mask=bool(regime.full_windows),
        autocast=AUTOCAST[request.mixed_precision],
        device=request.device,
        single_sequence=regime.single_sequence,
        input_requires_grad=True,
        checkpointing="none" if not checkpointing else "reentrant" if reentrant else "non_reentrant",
        gradients_exist=gradients_exist,
        loss=setup.loss,
        tied=architecture.tied,
        head_bias=architecture.head is not None and architecture.head.bias,
        final_softcap=architecture.final_softcap,
        embedding_dropout=architecture.embedding_dropout > 0,
        hooked_embeddings=not full and "embedding" not in setup.saved and input_gradient(request, setup),
        saved=setup.saved,
        kind=setup.kind,
        holds_4bit_input=setup.holds_4bit_input,
        halves_weights=setup.halves_weights,
        wide_norms=setup.wide_norms,
        keeps_graph=setup.keeps_graph,
        unspread_key=setup.layer_code == "litgpt_2023",
        repeats_keys=setup.repeats_keys and request.attn_implementation == "flash_attention_2" and family in _REPEATING,
        patched=_patched(architecture, setup),
        modeling=architecture.modeling,
    )


def _patched(architecture: Architecture, setup: Setup) -> frozenset[str]:
    """What runs in fms-acceleration's kernels; its MLP knows no activation but SiLU (get_hidden_activation_fn_key)."""
    found = PATCHED.get(architecture.model_type, frozenset()) if setup.foak else frozenset()
    return found if text_fields(architecture).get("hidden_act", "silu") == "silu" else found - {"mlp"}


def _quantized_leaves(architecture: Architecture, setup: Setup) -> frozenset[str]:
    """Linears around the layers with quantized weights; "head" for the head."""
    leaves = {linear.leaf for linear in architecture.linears if linear.name in setup.quantized}
    head = architecture.head
    return frozenset(leaves | {"head"} if head is not None and head.name in setup.quantized else leaves)


def family_of(setup: Setup, architecture: Architecture) -> str:
    """Whose layer code runs: the stack's own, or that of the model's family in transformers."""
    own = setup.layer_code != "transformers" and runs_in_litgpt(architecture)
    return LITGPT if own else layer_family(architecture)


def text_fields(architecture: Architecture) -> dict[str, object]:
    """The config's fields of the text model, which has a section of its own where there is a tower."""
    text = architecture.config.get("text_config")
    return text if isinstance(text, dict) else architecture.config


def _of_block(base: Structure, block: Block, architecture: Architecture, setup: Setup, window_mask: bool) -> Structure:
    config = text_fields(architecture)
    shape = replace(
        block_shape(block),
        norm_top_k=bool(config.get("norm_topk_prob")),
        clip_qkv=config.get("clip_qkv") is not None,
        scaled_queries=bool(config.get("attn_temperature_tuning")) and block_shape(block).position == "none",
    )
    if base.family in (GENERIC, LITGPT):
        shape = replace(shape, roles=block_roles(block, architecture.hidden_size))
    prefix = f"{block.prefix}.*."
    names = [*(linear.name for linear in block.linears), *(tensor.name for tensor in block.tensors)]
    adapted = frozenset(n for n in names if prefix + n in setup.adapted)
    quantized = frozenset(x.name for x in block.linears if x.quantizable and prefix + x.name in setup.quantized)
    if setup.as_linears and isinstance(block.mlp, Moe):
        shape = replace(shape, looped_experts=block.mlp.num_experts)
        if setup.quantized_experts:
            quantized |= {tensor.name for tensor in block.tensors if tensor.role in setup.as_linears}
    reaches_given = base.train_base or base.hooked_embeddings or _adapts_given(base, setup)
    # what a layer's graph does not depend on takes one value, so that alike layers share a tape
    return replace(
        base,
        block=shape,
        adapted=adapted,
        quantized=quantized,
        kind=base.kind if adapted else "lora",
        holds_4bit_input=base.holds_4bit_input and bool(quantized),
        halves_weights=base.halves_weights and bool(quantized),
        keeps_graph=base.keeps_graph and base.holds_4bit_input and bool(quantized),
        unspread_key=base.unspread_key and shape.multi_query,
        feedforward=frozenset(n for n in adapted if prefix + n in setup.feedforward),
        given_requires_grad=reaches_given or not (shape.cross or shape.own_input),
        window_mask=window_mask,
        adapter_dropout=base.adapter_dropout and bool(adapted),
        adapter_dtype=setup.adapter_dtype if quantized & adapted else setup.kept_dtype,
        stack_adapter_dtype=setup.stack_adapter_dtype if adapted - quantized else setup.kept_dtype,
        double_quant=base.double_quant and bool(quantized),
        quantization=base.quantization if quantized else "bnb_4bit",
        compute_dtype=setup.compute_dtype if quantized else setup.dtype,
        loss="full",
        tied=False,
        head_bias=False,
        final_softcap=False,
        embedding_dropout=False,
        hooked_embeddings=False,
        saved=frozenset(),
    )


def _adapts_given(base: Structure, setup: Setup) -> bool:
    """Whether adapters stand in what all layers are given: an encoder, the projection to the layers' own inputs."""
    return OWN_INPUTS in base.adapted or any(name.startswith("encoder.") for name in setup.adapted)


def around_layers(base: Structure) -> Structure:
    """The structure of embeddings, head and loss: what says how linears are adapted and quantized, if any there are."""
    adapted, quantized = bool(base.adapted), bool(base.quantized)
    return replace(
        base,
        compute_dtype=base.compute_dtype if quantized else base.dtype,
        adapter_dtype=base.adapter_dtype if adapted else base.kept_dtype,
        stack_adapter_dtype=base.stack_adapter_dtype if adapted else base.kept_dtype,
        adapter_dropout=base.adapter_dropout and adapted,
        double_quant=base.double_quant and quantized,
        quantization=base.quantization if quantized else "bnb_4bit",
    )


def attention_of(request: PlanRequest, architecture: Architecture) -> AttentionName:
    """The attention that runs: transformers falls back to eager where a family has no sdpa."""
    if request.attn_implementation == "sdpa" and not has_sdpa(architecture):
        return "eager"
    return request.attn_implementation


def input_gradient(request: PlanRequest, setup: Setup) -> bool:
    """Whether a gradient flows to the first layer's input.

    Full fine-tuning trains the embeddings. With adapters enable_input_require_grads makes it so, which transformers
    5.23 calls whenever checkpointing is enabled on a model of input_ids (_activation_checkpointing_enable).
    """
    given = request.method == "full" or "embedding" in setup.saved or bool(setup.prompts)
    return given or request.gradient_checkpointing
