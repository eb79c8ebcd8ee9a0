"""Records and requests made by hand."""

from typing import Any

from planner.runs.here import Device
from planner.schema import PlanRequest, parse_request

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 512,
}  # fmt: skip
HOST: Device = {"device": "cpu", "platform": "cpu", "name": "Some CPU", "free_bytes": 2**34}
MIB = 2**20


def request(**fields: Any) -> PlanRequest:
    """A small request for the CPU."""
    return parse_request({"model": TINY, "method": "lora", "device": "cpu", "max_length": 64} | fields)


def record(run: str = "a" * 32, peak_mib: int = 100, **changes: Any) -> dict[str, Any]:
    """A finished run: a process of 300 MiB, and 1.5 bytes resident for each of a tensor."""
    peak = peak_mib * MIB
    return {
        "run": run,
        "created_at": "2026-11-24T09:00:00+00:00",
        "level": "profile",
        "status": "done",
        "error": None,
        "id": None,
        "model": "tiny",
        "method": "lora",
        "request": request().model_dump(mode="json", exclude_unset=True),
        "plan": {"peak_bytes": peak, "steady_bytes": peak // 2, "weights_bytes": peak // 4},
        "hardware": {"device": "cpu", "name": "Some CPU", "matmul_flops_per_second": 1e11},
        "versions": {"torch": "2.13.0"},
        "peak_bytes": peak,
        "peak_is_peak": True,
        "steady_bytes": peak // 2,
        "peak_rss_bytes": 300 * MIB + peak * 3 // 2,
        "steps": 3,
        "step_seconds": [0.1, 0.2, 0.3],
        "step_seconds_median": 0.2,
        "followed_step_seconds": 0.3,
        "tokens_per_second": 320.0,
        "flops_per_second": 2e10,
        "notes": [],
    } | changes
