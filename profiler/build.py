"""From a request to the real thing: transformers' model, PEFT's adapters, bitsandbytes' 4-bit weights.

The device is torch's name of a real one, or "meta" for a model that profiler.fake then fills with fake tensors.
Nothing is downloaded: weights are random, the code is the installed libraries'.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn

from planner.errors import RequestError
from planner.parallelism import FULLY_SHARDED
from planner.schema import PlanRequest
from profiler.adapters import add_adapters

TORCH_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Batch = dict[str, torch.Tensor]


def check_supported(
    request: PlanRequest, config: Any, traced: bool = False, device_type: str = "cpu", sharded: bool = False
) -> tuple[str, ...]:
    """Refuse what these steps cannot do; say as notes what they do differently. sharded: on all their devices."""
    if request.loss != "full":
        raise RequestError(f"loss={request.loss!r} is not run by the profiler: it runs transformers' own loss ('full')")
    quantization = request.quantization_settings
    if quantization is not None and quantization.kind != "bnb_4bit":
        raise RequestError("quantization: the profiler runs bitsandbytes' 4 bits only: load_in_4bit true")
    asked, used = request.attn_implementation, attention_of(request, config, device_type)
    if asked == "flash_attention_2" and used != asked and not traced:
        raise RequestError(
            "attn_implementation='flash_attention_2' needs a GPU and the package flash-attn: use 'sdpa' or 'eager'"
        )
    notes = {
        f"attn_implementation {asked}: {config.model_type} runs as {used}": asked != used,
        "padding packed runs as one full sequence without a mask": request.padding == "packed",
        "one device, nothing sharded": request.num_gpus > 1 and not sharded,
        "activation_offloading: activations stay on the device here": request.parallelism.activation_offloading,
        "no_bias=false: transformers' MPT is run, which has no biases and no learned positions": (
            config.model_type == "mpt" and not config.no_bias
        ),
        "device cuda: run through the libraries' CPU code": request.device == "cuda" and device_type == "cpu",
    }
    return tuple(note for note, applies in notes.items() if applies)


def attention_of(request: PlanRequest, config: Any, device_type: str = "cpu") -> str:
    """The implementation that runs: flash_attention_2 as sdpa off the GPU, and sdpa as eager where a model has none."""
    if request.attn_implementation == "eager":
        return "eager"
    if request.attn_implementation == "flash_attention_2" and device_type == "cuda" and find_spec("flash_attn"):
        return "flash_attention_2"
    return "sdpa" if getattr(_model_class(config), "_supports_sdpa", False) else "eager"


def build_model(request: PlanRequest, config: Any, device: str = "cpu") -> nn.Module:
    """The model as it stands before the first step: loaded, quantized, adapted, in training mode."""
    used = attention_of(request, config, torch.device(device).type)
    attention = None if used == "sdpa" else used  # None: sdpa, and eager in those parts that have none (gemma4's sound)
    options = {"dtype": TORCH_DTYPES[request.dtype], "attn_implementation": attention}
    model = _from_config(config, device, **options)
    _untie_head(model, request)
    if request.quantization_settings is not None:
        from profiler.quantize import quantize

        storage = request.dtype if request.parallelism.strategy in FULLY_SHARDED else "uint8"
        quantize(model, request.quantization_settings, request.dtype, request.upcasts_unquantized, storage)
    if request.gradient_checkpointing:
        _enable_checkpointing(model, request)
    return add_adapters(model, request).train()


def bare_model(config: Any) -> nn.Module:
    """The architecture alone, on the meta device."""
    return _from_config(config, "meta")


def _from_config(config: Any, device: str, **options: Any) -> nn.Module:
    with torch.device(device):
        model: nn.Module = _model_class(config)._from_config(config, **options)
    return model


def _model_class(config: Any) -> Any:
    """The class that fine-tunes models of this config with input_ids and labels, as the Auto classes know it."""
    from transformers.models.auto import modeling_auto

    for mapping in (
        modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING,
        modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
    ):
        if type(config) in mapping:
            found = mapping[type(config)]
            return found[0] if isinstance(found, tuple | list) else found
    raise RequestError(f"model_type {config.model_type!r}: the profiler runs language models only", "model")


def _untie_head(model: Any, request: PlanRequest) -> None:
    """Give the head its own weight where the config says so and its class ties regardless (t5, mt5).

    Checkpoints with tie_word_embeddings=false hold both, and from_pretrained then leaves them apart (transformers 5.23
    modeling_utils.py tie_weights).
    """
    assert isinstance(request.model, dict)
    head = model.get_output_embeddings()
    if request.model.get("tie_word_embeddings") is False and head.weight is model.get_input_embeddings().weight:
        head.weight = nn.Parameter(head.weight.detach().clone())


def _enable_checkpointing(model: nn.Module, request: PlanRequest) -> None:
    """As transformers' Trainer does; PEFT's preparation adds gradients of the inputs for the reentrant form."""
    kwargs = request.gradient_checkpointing_kwargs.model_dump()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kwargs)  # type: ignore[operator]
    if request.method != "full" and kwargs["use_reentrant"]:
        model.enable_input_require_grads()  # type: ignore[operator]


def _is_encoder_decoder(model: Any) -> bool:
    return bool(model.config.is_encoder_decoder)


def build_batch(request: PlanRequest, vocab_size: int, device: str = "cpu") -> Batch:
    """Random tokens of the asked shape; labels are the tokens; a mask with some zeros when padded."""
    shape = (request.per_device_train_batch_size, request.max_length)
    input_ids = torch.randint(0, vocab_size, shape).to(device)
    batch = {"input_ids": input_ids, "labels": input_ids.clone()}
    if request.padding == "padded":
        batch["attention_mask"] = torch.ones(shape, dtype=torch.long, device=device)
        batch["attention_mask"][:, -max(1, shape[1] // 8) :] = 0
    return batch


def loaded_tensors(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Parameters, buffers and quantization states, with their names."""
    yield from model.named_parameters()
    yield from model.named_buffers()
    for name, parameter in model.named_parameters():
        for key, tensor in quant_state_tensors(getattr(parameter, "quant_state", None)):
            yield f"{name}.{key}", tensor


def quant_state_tensors(state: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """absmax, code, offset and those of the nested state of one bitsandbytes QuantState."""
    if state is None:
        return
    for key in ("absmax", "code", "offset"):
        tensor = getattr(state, key, None)
        if isinstance(tensor, torch.Tensor):
            yield key, tensor
    yield from ((f"state2.{key}", tensor) for key, tensor in quant_state_tensors(state.state2))


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """What the optimizer is given."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """(trainable, total) parameters by numel: a 4-bit one counts its packed bytes, two weights each."""
    return sum(p.numel() for p in trainable_parameters(model)), sum(p.numel() for p in model.parameters())
