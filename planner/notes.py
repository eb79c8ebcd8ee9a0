"""What a plan says besides its figures: what was taken for granted, what is only modelled, what will not run."""

from planner.architecture.blocks import Architecture
from planner.memory.attention_support import has_flash, has_sdpa
from planner.memory.inventory import Setup
from planner.memory.layers import EXACT_METHODS, activation_certainty, exceeds_transformers
from planner.memory.moments import Static
from planner.memory.spread import spread_notes
from planner.methods.targets import adapts_a_router_that_fails
from planner.resolve import Model
from planner.schema import Method, PlanRequest
from planner.switches import LossPath
from planner.units import format_count, format_gib


def modelled_note(method: Method, loss: LossPath, architecture: Architecture) -> str:
    """Whose activations are modelled: the loss's, the method's, or else the family's."""
    if activation_certainty("full", "full", architecture) != "exact":
        what = f"activations of {architecture.model_type}"
    elif method not in EXACT_METHODS:
        what = f"tensors of {method}"
    else:
        what = f"tensors of the loss {loss!r}"
    return f"{what} are modelled, not held against measured steps operation by operation"


def notes_of(request: PlanRequest, filled: tuple[str, ...], model: Model, setup: Setup, static: Static) -> list[str]:
    """Notes on the memory of a request; filled: the fields that its stack has set."""
    architecture, notes = model.architecture, [model.origin] if model.origin else []
    if filled:
        notes.append(f"stack {request.stack} sets what the request leaves open: {', '.join(filled)}")
    notes += spread_notes(request)
    if activation_certainty(setup.loss, request.method, architecture) != "exact":
        notes.append(modelled_note(request.method, setup.loss, architecture))
    if exceeds_transformers(architecture):
        notes.append(
            "no_bias=false: planned is llm-foundry's own MPT, whose biases and learned positions (without alibi) "
            "transformers' class does not build: traces and profiles run fewer parameters"
        )
    if any(b.attention is not None and b.attention.kind in ("linear", "mamba") for b in architecture.blocks):
        notes.append(
            "recurrent layers run as transformers' own torch code; with the packages that replace it (mamba-ssm, "
            "flash-linear-attention, causal-conv1d) they need less"
        )
    unreached = sum(i.elements for i in static.items if not i.reached and i.role != "adapter")
    if unreached:
        notes.append(
            f"the batch is text: {format_count(unreached)} parameters for images or sound stay loaded, without "
            "gradients and optimizer states; batches with images need those and their activations besides"
        )
    paged = static.states.paged
    if paged and request.device == "cuda":
        notes.append(f"{format_gib(paged)} of paged optimizer states can leave the card and are not held against it")
    limit = architecture.config.get("max_position_embeddings")
    if isinstance(limit, int) and request.max_length > limit:
        notes.append(f"max_length {request.max_length} exceeds the model's max_position_embeddings of {limit}")
    if adapts_a_router_that_fails(architecture, setup.adapted):
        notes.append(
            f"PEFT 0.21 adapts the router of {architecture.model_type} too, and the first step then fails: "
            "name other lora.target_modules"
        )
    return [*notes, *_refusals(request, architecture), *_quantization_notes(request, setup, static)]


def _refusals(request: PlanRequest, architecture: Architecture) -> list[str]:
    """What the planned release of transformers does not run, or runs otherwise."""
    notes, release = [], "5.23" if architecture.modeling == "transformers_5_23" else "5.24"
    if request.attn_implementation == "flash_attention_2" and not has_flash(architecture):
        notes.append(
            f"transformers {release} has no flash attention for {architecture.model_type} and refuses "
            "attn_implementation flash_attention_2: use sdpa"
        )
    if request.attn_implementation == "sdpa" and not has_sdpa(architecture):
        notes.append(
            f"transformers {release} has no sdpa for {architecture.model_type} and runs eager attention where none is "
            "named, which keeps a score for each pair of tokens (attn_implementation: eager)"
        )
    if architecture.model_type == "llama4" and release == "5.24":
        notes.append(
            "transformers 5.24.0 fails in the forward of llama4 (its text model's output has no image_outputs): "
            "5.23 runs it (stack: transformers@5.23)"
        )
    return notes


def _quantization_notes(request: PlanRequest, setup: Setup, static: Static) -> list[str]:
    notes: list[str] = []
    quantization = request.quantization_settings
    experts = unquantized_experts(static)
    if quantization is not None and experts:
        notes.append(
            f"transformers 5 keeps {format_count(experts)} parameters of experts as stacks that bitsandbytes does not "
            f"quantize: they stay in {setup.kept_dtype}"
        )
    if quantization is not None and not quantization.kind.startswith("bnb") and setup.kept_dtype != "float32":
        notes.append(f"a {quantization.quant_method} base is modelled: its kernels were read, not measured")
    if quantization is not None and setup.kept_dtype == "float32" and request.dtype != "float32":
        notes.append(
            "prepare_model_for_kbit_training holds embeddings, head and norms in float32; "
            "stacks that skip it need less (quantization.upcast_unquantized: false)"
        )
    elif quantization is not None and quantization.kind.startswith("bnb") and not request.names_stack:
        notes.append(
            "embeddings, head and norms are taken to stay in 16 bits, as most trainers leave them; after "
            "prepare_model_for_kbit_training alone they are float32 (quantization.upcast_unquantized: true)"
        )
    return notes


def unquantized_experts(static: Static) -> int:
    """Elements of stacks of experts that stay as they are."""
    return sum(item.elements for item in static.items if ".experts." in item.name and item.role == "other")
