"""The optimizer objects that transformers' Trainer makes for its OptimizerNames.

Source: transformers 5.23 trainer_optimizer.py (names, classes and arguments).
"""

from typing import Any

import torch
from torch import nn

from planner.errors import RequestError

LEARNING_RATE = 1e-4

#: Arguments of bitsandbytes' AdamW and Lion.
BITSANDBYTES: dict[str, tuple[str, dict[str, Any]]] = {
    "adamw_bnb_8bit": ("AdamW", {"optim_bits": 8}),
    "adamw_8bit": ("AdamW", {"optim_bits": 8}),
    "paged_adamw": ("AdamW", {"is_paged": True}),
    "paged_adamw_32bit": ("AdamW", {"is_paged": True}),
    "paged_adamw_8bit": ("AdamW", {"optim_bits": 8, "is_paged": True}),
    "lion_32bit": ("Lion", {}),
    "lion_8bit": ("Lion", {"optim_bits": 8}),
    "paged_lion_32bit": ("Lion", {"is_paged": True}),
    "paged_lion_8bit": ("Lion", {"optim_bits": 8, "is_paged": True}),
}


def build_optimizer(name: str, parameters: list[nn.Parameter], foreach: bool = False) -> torch.optim.Optimizer:
    """The optimizer of that name; foreach forces the lists of tensors that torch takes by default on CUDA only."""
    default = True if foreach else None
    if name == "adamw_torch_fused":
        return torch.optim.AdamW(parameters, lr=LEARNING_RATE, fused=True)
    if name == "adamw_torch":
        return torch.optim.AdamW(parameters, lr=LEARNING_RATE, foreach=default)
    if name == "sgd":
        return torch.optim.SGD(parameters, lr=LEARNING_RATE, foreach=default)
    if name == "adafactor":
        return _adafactor(parameters)
    if name not in BITSANDBYTES:
        raise RequestError(f"optim={name!r} is not run by the profiler: its package is no dependency of ours")
    return _bitsandbytes(name, parameters)


def _adafactor(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    from transformers.optimization import Adafactor

    options = {"scale_parameter": False, "relative_step": False}
    return Adafactor(parameters, lr=LEARNING_RATE, **options)  # type: ignore[no-untyped-call]


def _bitsandbytes(name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    import bitsandbytes

    cls, options = BITSANDBYTES[name]
    optimizer: torch.optim.Optimizer = getattr(bitsandbytes.optim, cls)(parameters, lr=LEARNING_RATE, **options)
    return optimizer
