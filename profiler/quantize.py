"""4-bit weights as transformers' from_pretrained(load_in_4bit=True) makes them, for random weights and for meta ones.

Source: transformers 5.23 quantizers/quantizer_bnb_4bit.py, integrations/bitsandbytes.py (Bnb4bitQuantize).
"""

from typing import Any

from torch import nn

from planner.schema import QuantizationSettings


def quantize(
    model: nn.Module, settings: QuantizationSettings, dtype: str, upcast: bool, storage: str = "uint8"
) -> None:
    """Replace linears by bnb.nn.Linear4bit, quantize their weights, and upcast what stays when asked to.

    storage: the dtype that the codes are kept in (bnb_4bit_quant_storage); FSDP shards floating ones only.
    """
    from transformers.integrations.bitsandbytes import replace_with_bnb_linear
    from transformers.quantizers.base import HfQuantizer, _assign_is_quantized

    _keep_quantization_map_real()
    skip = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)  # type: ignore[arg-type]
    linears = dict(model.named_modules())
    replace_with_bnb_linear(model, skip, _bnb_config(settings, dtype, storage))
    for name, module in model.named_modules():
        if hasattr(module, "source_cls"):
            _fill(module, linears[name])
    model.is_loaded_in_4bit = True  # type: ignore[assignment]
    _assign_is_quantized(model)  # type: ignore[no-untyped-call]  # Jamba's forward asks for it
    if upcast:
        _upcast(model)


def _keep_quantization_map_real() -> None:
    """bitsandbytes keeps this table for the process on the device of its first use; a later real step needs it."""
    from bitsandbytes import functional

    functional.name2qmap.setdefault("dynamic", functional.create_dynamic_map())  # type: ignore[no-untyped-call]


def _bnb_config(settings: QuantizationSettings, dtype: str, storage: str) -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type=settings.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=settings.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=settings.bnb_4bit_compute_dtype or dtype,
        bnb_4bit_quant_storage=storage,
    )


def _fill(module: Any, source: Any) -> None:
    """Quantize the weight of the linear that was replaced; a Conv1D's is transposed first."""
    from bitsandbytes.nn.modules import Params4bit
    from transformers.pytorch_utils import Conv1D

    value = source.weight.detach()
    if isinstance(source, Conv1D):
        value = value.T
    weight: Any = Params4bit(value, requires_grad=False, **module.weight.__dict__)
    module.weight = weight._quantize(value.device)  # what .to(device) does, on meta too
    if source.bias is not None:
        module.bias = nn.Parameter(source.bias.detach(), requires_grad=False)


def _upcast(model: nn.Module) -> None:
    """PEFT's prepare_model_for_kbit_training; checkpointing is enabled elsewhere."""
    from peft import prepare_model_for_kbit_training

    prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)  # type: ignore[no-untyped-call]
