"""Figures made by hand, for the tests of what is said of them."""

from typing import Any

from planner.evidence.score import Evidence

BASE: dict[str, Any] = {
    "origin": "published",
    "source": "org/name",
    "source_url": "https://github.com/org/name",
    "source_title": "README",
    "quote": "10 GB",
    "framework": "litgpt",
    "stack": "litgpt",
    "asked_stack": "litgpt",
    "model": "org/model",
    "method": "lora",
    "metric": "max_allocated",
    "level": "tensors",
    "device": "cuda",
    "num_gpus": 1,
    "gpu": "a10g",
    "full": True,
    "ran_out": False,
    "certainty": "exact",
    "verdict": "fits",
    "oom_probability": 0.01,
    "refusal": "",
    "notes": "",
    "request": None,
}


def row(name: str, predicted: int | None, measured: int = 100, **changes: Any) -> Evidence:
    band = {"low_bytes": None if predicted is None else predicted - 10}
    band["high_bytes"] = None if predicted is None else predicted + 10
    figures = {"id": name, "run": (name,), "measured_bytes": measured, "predicted_bytes": predicted}
    return Evidence(**(BASE | figures | band | changes))
