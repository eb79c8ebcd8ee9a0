"""The catalogue's tables: models, GPUs and prices with their sources and dates; pure functions to a DataFrame."""

from collections.abc import Iterable
from datetime import date
from typing import Any

import pandas as pd

from planner.architecture.blocks import Architecture
from planner.catalog import GpuRow, ModelRow, PriceRow
from planner.cost.age import age_days, age_text
from planner.methods.targets import named_linears
from planner.units import gib


def found(frame: pd.DataFrame, words: str) -> pd.DataFrame:
    """The rows that hold every word somewhere, whatever its case."""
    if frame.empty:
        return frame
    text = pd.Series([" ".join(map(str, row)).casefold() for row in frame.itertuples(index=False)])
    for word in words.casefold().split():
        held = text.str.contains(word, regex=False)
        frame, text = frame[held], text[held]
    return frame.reset_index(drop=True)


def models_frame(rows: Iterable[ModelRow]) -> pd.DataFrame:
    """A row a model: size, kind, licence, how its count was checked, where the config was seen."""
    return _frame(
        {
            "model": row.id,
            "parameters": row.params,
            "model_type": row.model_type,
            "family": row.family,
            "released": row.released,
            "licence": row.license,
            "gated": row.gated,
            "count": row.params_check,
            "config from": row.source,
            "checked": row.checked,
            "other names": ", ".join(row.aliases),
        }
        for row in rows
    )


def gpus_frame(rows: Iterable[GpuRow]) -> pd.DataFrame:
    """A row a card: memory, bandwidth, rates, where they were seen and when."""
    return _frame(
        {
            "gpu": row.key,
            "name": row.name,
            "GB on the box": row.memory_marketing_gb,
            "usable GiB": gib(row.usable_bytes),
            "usable is": row.usable_source.partition(":")[0],
            "GB/s": row.mem_bandwidth_gb_s,
            "bf16 TFLOP/s": row.bf16_fp32acc_tflops or row.bf16_dense_tflops,
            "fp32 TFLOP/s": row.fp32_tflops,
            "W": row.tdp_w,
            "architecture": row.architecture,
            "compute capability": row.compute_capability,
            "as of": row.as_of,
            "source": row.source_url,
            "usable from": row.usable_source,
            "rates from": row.compute_source,
            "other names": ", ".join(row.aliases),
        }
        for row in rows
    )


def prices_frame(rows: Iterable[PriceRow], today: date) -> pd.DataFrame:
    """A row an offer: USD an hour of a card and of the instance, with its date, age and mark."""
    return _frame(
        {
            "gpu": row.gpu_key,
            "provider": row.provider,
            "cards": row.gpus_per_instance,
            "USD/h a card": row.price_usd_per_gpu_hour,
            "USD/h": row.price_usd_per_hour_instance,
            "pricing": row.pricing.replace("_", " "),
            "instance": row.instance_type,
            "region": row.region,
            "price of": age_text(row, today),
            "days old": age_days(row, today),
            "source": row.source_url,
            "note": row.note,
        }
        for row in rows
    )


def linears_frame(architecture: Architecture) -> pd.DataFrame:
    """The linear layers by name: what target_modules can name."""
    rows = ((name, linear.out_features, linear.in_features) for name, linear in named_linears(architecture))
    return pd.DataFrame(rows, columns=["linear layer", "out", "in"])


def _frame(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))
