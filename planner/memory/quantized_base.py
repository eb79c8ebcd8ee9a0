"""What a quantized base follows from: which linears have few bits, and the dtypes around them."""

from planner.architecture.blocks import Architecture
from planner.methods.targets import quantized_linears
from planner.parallelism import FULLY_SHARDED
from planner.schema import PlanRequest, QuantizationSettings
from planner.switches import Switches


def casts_norms(request: PlanRequest) -> bool:
    """SFTTrainer's condition (trl 0.11 trainer/sft_trainer.py): bf16, 4 bits, and weights that are not sharded."""
    whole = request.parallelism.strategy not in (*FULLY_SHARDED, "zero3")
    quantization = request.quantization_settings
    four_bits = quantization is not None and quantization.kind == "bnb_4bit"
    return four_bits and request.mixed_precision == "bf16" and whole


def compute_dtype(request: PlanRequest, quantization: QuantizationSettings | None) -> str:
    """Of products with quantized weights: as asked for in 4 bits; else that of what is dequantized."""
    if quantization is not None and quantization.kind == "bnb_4bit":
        return quantization.bnb_4bit_compute_dtype or request.dtype
    return request.dtype


def quantized_adapter_dtype(request: PlanRequest, quantization: QuantizationSettings | None) -> str:
    """Of adapters that PEFT does not upcast: the compute_dtype of a quantized linear; float32, as they are made, where
    it has none and its weights are integers (peft 0.21 tuners_utils.py _get_base_layer_device_and_dtype)."""
    if quantization is not None and quantization.kind in ("bnb_8bit", "gptq", "awq"):
        return "float32"
    return compute_dtype(request, quantization)


def quantized_names(architecture: Architecture, switches: Switches, adapted: frozenset[str]) -> frozenset[str]:
    """Linears of a quantized base that have few bits."""
    linears = quantized_linears(architecture)
    if switches.quantized_layers == "adapted":
        return linears & adapted
    if switches.quantized_layers == "linears_and_head" and architecture.head is not None and not architecture.tied:
        return linears | {architecture.head.name}
    return linears
