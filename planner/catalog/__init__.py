"""The catalogue: models, GPUs and prices, each row with its source and date, read from data/.

A name is resolved by reading one table and validating one row; nothing is read before it is asked for.
"""

from planner.catalog.gpus import find_gpu, list_gpus
from planner.catalog.models import find_model, list_models, load_config, resolve_config
from planner.catalog.prices import cheapest_price, list_prices
from planner.catalog.rows import GpuRow, ModelRow, PriceRow

__all__ = [
    "GpuRow",
    "ModelRow",
    "PriceRow",
    "cheapest_price",
    "find_gpu",
    "find_model",
    "list_gpus",
    "list_models",
    "list_prices",
    "load_config",
    "resolve_config",
]
