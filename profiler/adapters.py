"""PEFT's configs of a request's method, and the model with them."""

from typing import Any

from torch import nn

from planner.schema import LORA_METHODS, LoraSettings, PlanRequest


def add_adapters(model: nn.Module, request: PlanRequest) -> nn.Module:
    """PEFT's get_peft_model with the config of the request's method; the model itself for full fine-tuning."""
    if request.method == "full":
        return model
    from peft import get_peft_model

    lora = request.lora_settings
    autocast = lora is None or lora.autocast_adapter_dtype
    adapted: nn.Module = get_peft_model(model, _config(model, request), autocast_adapter_dtype=autocast)
    return adapted


def _config(model: Any, request: PlanRequest) -> Any:
    import peft

    task = peft.TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else peft.TaskType.CAUSAL_LM
    if request.method in LORA_METHODS:
        lora = request.lora_settings
        assert lora is not None
        return _low_rank(request, lora, task)
    if request.method == "ia3":
        return peft.IA3Config(task_type=task)
    tokens = {"num_virtual_tokens": request.prompt_settings.num_virtual_tokens, "task_type": task}
    if request.method == "prompt_tuning":
        return peft.PromptTuningConfig(**tokens)
    if request.method == "prefix_tuning":
        return peft.PrefixTuningConfig(**tokens)
    return peft.PromptEncoderConfig(encoder_hidden_size=request.prompt_settings.encoder_hidden_size, **tokens)


def _low_rank(request: PlanRequest, lora: LoraSettings, task: Any) -> Any:
    from peft import AdaLoraConfig, LoraConfig

    targets = lora.target_modules
    common: dict[str, Any] = {
        "lora_alpha": lora.lora_alpha,
        "lora_dropout": lora.lora_dropout,
        "target_modules": targets if isinstance(targets, str) else list(targets),
        "modules_to_save": list(lora.modules_to_save) or None,
        "task_type": task,
    }
    if request.method == "adalora":
        return AdaLoraConfig(init_r=lora.r, target_r=max(lora.r // 2, 1), total_step=1000, **common)
    return LoraConfig(r=lora.r, use_rslora=lora.use_rslora, use_dora=request.adapter_kind == "dora", **common)
