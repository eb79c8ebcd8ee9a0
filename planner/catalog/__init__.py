"""The catalogue: models, GPUs and prices, each row with its source and date, read from data/.

Start-up is a feature: a name is resolved by reading one table and validating one row, and a part of this package
is imported when one of its names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planner.catalog.gpus import find_gpu, list_gpus
    from planner.catalog.models import find_model, list_models, load_config, resolve_config
    from planner.catalog.ownership import ownership_default
    from planner.catalog.prices import cheapest_price, list_prices
    from planner.catalog.rows.gpu import GpuRow
    from planner.catalog.rows.model import ModelRow
    from planner.catalog.rows.price import PriceRow
    from planner.catalog.rows.stack import StackRow
    from planner.catalog.stacks import list_stacks, stack_values

__all__ = [
    "GpuRow",
    "ModelRow",
    "PriceRow",
    "StackRow",
    "cheapest_price",
    "find_gpu",
    "find_model",
    "list_gpus",
    "list_models",
    "list_prices",
    "list_stacks",
    "load_config",
    "ownership_default",
    "resolve_config",
    "stack_values",
]

_MODULES = {
    "gpus": ("find_gpu", "list_gpus"),
    "models": ("find_model", "list_models", "load_config", "resolve_config"),
    "ownership": ("ownership_default",),
    "prices": ("cheapest_price", "list_prices"),
    "stacks": ("list_stacks", "stack_values"),
    "rows.gpu": ("GpuRow",),
    "rows.model": ("ModelRow",),
    "rows.price": ("PriceRow",),
    "rows.stack": ("StackRow",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"planner.catalog.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
