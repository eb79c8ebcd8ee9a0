"""From a request to the real thing: transformers' model, PEFT's adapters, bitsandbytes' 4-bit weights, an optimizer.

The device is "cpu" for real steps, "meta" for a model that profiler.fake then fills with fake tensors.  Nothing is
downloaded: weights are random, the code is the installed libraries'.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from planner.schema import LoraSettings, PlanRequest, QuantizationSettings

TORCH_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
Batch = dict[str, torch.Tensor]


def build_config(request: PlanRequest, num_layers: int | None = None) -> Any:
    """transformers' config of the request's model, with another depth when num_layers is given."""
    from transformers import AutoConfig

    fields = dict(request.model)  # type: ignore[arg-type]
    config = AutoConfig.for_model(fields.pop("model_type"), **fields)
    if num_layers is not None:
        config.num_hidden_layers = num_layers
    return config


def build_model(request: PlanRequest, config: Any, device: str = "cpu") -> nn.Module:
    """The model as it stands before the first step: loaded, quantized, adapted, in training mode."""
    from transformers import AutoModelForCausalLM

    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            config, dtype=TORCH_DTYPES[request.dtype], attn_implementation=request.attn_implementation
        )
    if request.quantization_settings is not None:
        quantize(model, request.quantization_settings, request.dtype)
    if request.gradient_checkpointing:
        enable_checkpointing(model, request)
    if request.lora_settings is not None:
        model = add_adapters(model, request.lora_settings)
    return model.train()


def quantize(model: nn.Module, settings: QuantizationSettings, dtype: str) -> None:
    """Replace linears by bnb.nn.Linear4bit as from_pretrained(load_in_4bit=True) does, and upcast the rest.

    Source: transformers 5.23 quantizers/quantizer_bnb_4bit.py, integrations/bitsandbytes.py (Bnb4bitQuantize).
    """
    from bitsandbytes import functional
    from transformers import BitsAndBytesConfig
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import HfQuantizer

    # bitsandbytes keeps this table for the process on the device of its first use: a later real step needs it real.
    functional.name2qmap.setdefault("dynamic", functional.create_dynamic_map())
    skip = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    linears = dict(model.named_modules())
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=settings.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=settings.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=settings.bnb_4bit_compute_dtype or dtype,
    )
    replace_with_bnb_linear(model, modules_to_not_convert=skip, quantization_config=config)
    for name, module in model.named_modules():
        if hasattr(module, "source_cls"):
            _fill_linear4bit(module, linears[name])
    model.is_loaded_in_4bit = True  # type: ignore[assignment]
    if settings.upcast_unquantized:
        _prepare_for_kbit_training(model)


def _fill_linear4bit(module: nn.Module, source: nn.Module) -> None:
    """Quantize the weight of the linear that was replaced; a Conv1D's is transposed first."""
    import bitsandbytes as bnb
    from transformers.pytorch_utils import Conv1D

    value = source.weight.detach()
    if isinstance(source, Conv1D):
        value = value.T
    options = module.weight.__dict__
    module.weight = bnb.nn.Params4bit(value, requires_grad=False, **options)._quantize(value.device)
    if source.bias is not None:
        module.bias = nn.Parameter(source.bias.detach(), requires_grad=False)


def _prepare_for_kbit_training(model: nn.Module) -> None:
    from peft import prepare_model_for_kbit_training

    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)


def enable_checkpointing(model: nn.Module, request: PlanRequest) -> None:
    """As transformers' Trainer does: enable it with the kwargs, and let inputs require gradients for adapters."""
    kwargs = request.gradient_checkpointing_kwargs.model_dump()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=kwargs)  # type: ignore[operator]
    if request.method != "full" and kwargs["use_reentrant"]:
        model.enable_input_require_grads()  # type: ignore[operator]


def add_adapters(model: nn.Module, settings: LoraSettings) -> nn.Module:
    """PEFT's get_peft_model with a LoraConfig."""
    from peft import LoraConfig, get_peft_model

    targets = settings.target_modules
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        modules_to_save=list(settings.modules_to_save) or None,
        use_rslora=settings.use_rslora,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config, autocast_adapter_dtype=settings.autocast_adapter_dtype)  # type: ignore


def build_optimizer(name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that transformers' Trainer makes for one of its OptimizerNames.

    Source: transformers 5.23 trainer_optimizer.py.
    """
    return _optimizer_makers()[name](parameters)


def _optimizer_makers() -> dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]]:
    def bnb(cls: str, **options: Any) -> Callable[[list[nn.Parameter]], torch.optim.Optimizer]:
        def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
            import bitsandbytes

            return getattr(bitsandbytes.optim, cls)(parameters, **options)

        return make

    def adafactor(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        from transformers.optimization import Adafactor

        return Adafactor(parameters, lr=LEARNING_RATE, scale_parameter=False, relative_step=False)

    lr = {"lr": LEARNING_RATE}
    return {
        "adamw_torch": lambda p: torch.optim.AdamW(p, **lr),
        "adamw_torch_fused": lambda p: torch.optim.AdamW(p, **lr, fused=True),
        "sgd": lambda p: torch.optim.SGD(p, **lr),
        "adafactor": adafactor,
        "adamw_bnb_8bit": bnb("AdamW", **lr, optim_bits=8),
        "adamw_8bit": bnb("AdamW", **lr, optim_bits=8),
        "paged_adamw": bnb("AdamW", **lr, is_paged=True),
        "paged_adamw_32bit": bnb("AdamW", **lr, is_paged=True),
        "paged_adamw_8bit": bnb("AdamW", **lr, optim_bits=8, is_paged=True),
        "lion_32bit": bnb("Lion", **lr),
        "lion_8bit": bnb("Lion", **lr, optim_bits=8),
        "paged_lion_32bit": bnb("Lion", **lr, is_paged=True),
        "paged_lion_8bit": bnb("Lion", **lr, optim_bits=8, is_paged=True),
    }


LEARNING_RATE = 1e-4


def build_batch(request: PlanRequest, vocab_size: int) -> Batch:
    """Random tokens of the asked shape; labels are the tokens; a mask with some zeros when padded."""
    shape = (request.per_device_train_batch_size, request.max_length)
    input_ids = torch.randint(0, vocab_size, shape)
    batch = {"input_ids": input_ids, "labels": input_ids.clone()}
    if request.padding == "padded":
        batch["attention_mask"] = torch.ones(shape, dtype=torch.long)
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
