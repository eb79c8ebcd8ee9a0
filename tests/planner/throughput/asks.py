"""Requests whose steps are timed."""

from typing import Any

from planner.schema import PlanRequest, parse_request

TINY = {
    "model_type": "llama",
    "vocab_size": 1000,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def asked(**fields: Any) -> PlanRequest:
    """A full fine-tuning of a tiny Llama on an A100, but for these fields."""
    return parse_request({"model": TINY, "method": "full", "gpu": "a100-80gb-sxm"} | fields)
