"""Optimizers as transformers' OptimizerNames spells them, and what each keeps for one parameter."""

from dataclasses import dataclass
from typing import Literal

StateFormat = Literal["parameter", "float32", "blockwise_8bit", "blockwise_4bit", "factored"]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """What one optimizer allocates.

    num_states: full-size state tensors a parameter (Adam: 2, momentum: 1, plain SGD: 0).
    state_format: "parameter" (states in the parameter's own dtype, as torch.optim makes them with zeros_like),
        "float32" (always 32 bits), "blockwise_8bit" (bitsandbytes: one byte an element and one fp32 absmax a block),
        "blockwise_4bit" (torchao: two elements a byte and one fp32 scale a block; the parameter's dtype where it is
        small or no multiple of a block),
        "factored" (Adafactor: a row and a column vector for a matrix).
    kernel: "fused" (one kernel, no temporaries), "foreach" (lists of tensors, one temporary copy of the parameters'
        size), "single" (tensor by tensor).
    paged: states are CUDA managed memory that can leave the card under pressure.
    source: where the facts were read.
    """

    name: str
    num_states: int
    state_format: StateFormat
    kernel: Literal["fused", "foreach", "single"]
    paged: bool
    source: str


_TORCH = "torch 2.13 torch/optim"
_BNB = "bitsandbytes 0.50 bitsandbytes/optim/optimizer.py"
_AO = "torchao 0.18 torchao/optim/adam.py"
_HF = "transformers 5.23 transformers/optimization.py"

OPTIMIZERS: dict[str, Optimizer] = {
    o.name: o
    for o in (
        Optimizer("adamw_torch", 2, "parameter", "foreach", False, f"{_TORCH}/adamw.py"),
        Optimizer("adamw_torch_fused", 2, "parameter", "fused", False, f"{_TORCH}/adamw.py"),
        Optimizer("adamw_bnb_8bit", 2, "blockwise_8bit", "single", False, f"{_BNB} AdamW8bit"),
        Optimizer("adamw_8bit", 2, "blockwise_8bit", "single", False, f"{_BNB} AdamW8bit"),
        Optimizer("paged_adamw", 2, "float32", "single", True, f"{_BNB} PagedAdamW"),
        Optimizer("paged_adamw_32bit", 2, "float32", "single", True, f"{_BNB} PagedAdamW32bit"),
        Optimizer("paged_adamw_8bit", 2, "blockwise_8bit", "single", True, f"{_BNB} PagedAdamW8bit"),
        Optimizer("lion_32bit", 1, "float32", "single", False, f"{_BNB} Lion32bit"),
        Optimizer("lion_8bit", 1, "blockwise_8bit", "single", False, f"{_BNB} Lion8bit"),
        Optimizer("paged_lion_32bit", 1, "float32", "single", True, f"{_BNB} PagedLion32bit"),
        Optimizer("paged_lion_8bit", 1, "blockwise_8bit", "single", True, f"{_BNB} PagedLion8bit"),
        Optimizer("adamw_torch_4bit", 2, "blockwise_4bit", "single", False, f"{_AO} AdamW4bit"),
        Optimizer("sgd", 0, "parameter", "foreach", False, f"{_TORCH}/sgd.py"),
        Optimizer("adafactor", 1, "factored", "single", False, f"{_HF} Adafactor"),
    )
}
