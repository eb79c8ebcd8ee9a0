"""Two shallow depths that stand for a deep model.

Layers of a decoder repeat with a period (1 for Llama, 2 for Gemma 2, 4 for Qwen3-Next), after a few first layers that
can differ (DeepSeek's dense ones).  A model of `small` layers holds them, one period at the start, one in the middle
and one at the end; `large` has one period more, and every further period of the deep model costs what this one does.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from planner.schema import PlanRequest
from profiler.build import bare_model
from profiler.configs import build_config, num_layers_of

Signature = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Slices:
    """Depths to trace, and how many periods the deep model has more than the small one."""

    small: int
    period: int
    num_periods: int

    @property
    def large(self) -> int:
        """The second depth."""
        return self.small + self.period


def find_slices(request: PlanRequest, config: Any) -> Slices | None:
    """Slices of the config's layers; None where the model is too shallow or its layers do not repeat."""
    if config.is_encoder_decoder:
        return None
    depth = num_layers_of(config)
    signatures = layer_signatures(config, depth)
    found = [s for period in range(1, depth // 4 + 1) if (s := _slices(signatures, period)) is not None]
    best = min(found, key=lambda s: s.large, default=None)
    if best is None:
        return None
    return best if _repeats(request, best.large, signatures) else None


def _repeats(request: PlanRequest, depth: int, signatures: list[Signature]) -> bool:
    """Whether a model cut to this depth has the first layers of the deep one."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        return layer_signatures(build_config(request, depth), depth) == signatures[:depth]
    except (StrictDataclassError, ValueError):  # a config that ties other fields to the depth cannot be cut
        return False


def _slices(signatures: list[Signature], period: int) -> Slices | None:
    """The smallest slices with this period, None where the model costs no more to trace."""
    depth = len(signatures)
    prefix = max((i + 1 for i in range(depth - period) if signatures[i] != signatures[i + period]), default=0)
    small = prefix + 3 * period
    small += (depth - small) % period
    if 2 * small + period >= depth:
        return None
    return Slices(small, period, (depth - small) // period)


def layer_signatures(config: Any, depth: int) -> list[Signature]:
    """What tells layers apart: classes, parameter shapes and plain settings of their modules, and their type."""
    layers = _layers(bare_model(config), depth)
    types = getattr(config.get_text_config(), "layer_types", None) or [None] * depth
    return [(types[i], *_signature(layer)) for i, layer in enumerate(layers)]


def _layers(model: nn.Module, depth: int) -> list[nn.Module]:
    """The longest list of modules with one module a layer; empty where there is none."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    return list(lists[0]) if lists else []


def _signature(layer: nn.Module) -> Signature:
    modules = [
        (
            name,
            type(module).__name__,
            tuple(sorted((k, str(v)) for k, v in vars(module).items() if _plain(k, v))),
            tuple((k, tuple(p.shape)) for k, p in module._parameters.items() if p is not None),
        )
        for name, module in layer.named_modules()
    ]
    return tuple(modules)


def _plain(key: str, value: Any) -> bool:
    """Settings of a module that are not its own number."""
    return isinstance(value, bool | int | float | str | torch.dtype) and key not in ("layer_idx", "layer_id")
