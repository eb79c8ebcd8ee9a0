"""How fast the planner answers: a cold command, a warm plan, a stream of requests.

python -m benchmarks.planner
"""

import json
import random
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from planner.catalog import list_models
from planner.estimate import estimate
from planner.schema import parse_request

ROOT = Path(__file__).parents[1]
PLANNER = [sys.executable, "-m", "planner"]
COLD = [*PLANNER, "fit", "llama-3.3-70b", "--method", "qlora", "--gpu", "rtx-4090"]
NUM_REQUESTS = 2_000
SWEPT = ("llama-3.1-8b", "llama-3.3-70b", "qwen2.5-7b", "mistralai/Mistral-7B-v0.1", "google/gemma-2-9b")
SWEPT += ("llama-3.2-1b", "qwen3-8b", "gpt2", "microsoft/phi-2", "tiiuae/falcon-7b")


def main() -> None:
    """Print every figure."""
    print(f"cold fit: {median(_seconds(COLD) for _ in range(11)):.3f} s (median of 11)")
    print(f"warm plan: {_warm_seconds() * 1e3:.2f} ms (median of 200, batch and length differ)")
    for name, requests in (("sweep", _sweep()), ("catalogue", _catalogue())):
        seconds = median(_seconds([*PLANNER, "plan", "--batch", "-"], requests) for _ in range(3))
        print(f"plan --batch, {name}: {len(requests) / seconds:,.0f} requests a second ({seconds:.2f} s, median of 3)")


def _seconds(command: list[str], requests: list[dict[str, Any]] | None = None) -> float:
    lines = "\n".join(map(json.dumps, requests or []))
    start = perf_counter()
    subprocess.run(command, input=lines, text=True, capture_output=True, cwd=ROOT, check=False)
    return perf_counter() - start


def _warm_seconds() -> float:
    times = []
    for number in range(201):
        request = parse_request({"model": "llama-3.3-70b", "method": "qlora", "gpu": "rtx-4090"} | _sizes(number))
        start = perf_counter()
        estimate(request)
        times.append(perf_counter() - start)
    return median(times[1:])


def _sizes(number: int) -> dict[str, int]:
    return {"per_device_train_batch_size": 2 + number % 10, "max_length": 512 + 8 * number}


def _sweep() -> list[dict[str, Any]]:
    """Different requests for ten models; batch and length are in order, the rest is drawn."""
    draw = random.Random(2)
    return [_drawn(draw, SWEPT) | _sizes(number // 10) | {"id": str(number)} for number in range(NUM_REQUESTS)]


def _catalogue() -> list[dict[str, Any]]:
    draw = random.Random(1)
    models = [row.id for row in list_models()]
    sizes = {"per_device_train_batch_size": (1, 2, 4, 8, 16), "max_length": (512, 777, 1000, 1024)}
    return [
        _drawn(draw, models) | {name: draw.choice(values) for name, values in sizes.items()} | {"id": str(number)}
        for number in range(NUM_REQUESTS)
    ]


def _drawn(draw: random.Random, models: Any) -> dict[str, Any]:
    return {
        "model": draw.choice(models),
        "method": draw.choice(("full", "lora", "qlora")),
        "gradient_checkpointing": draw.random() < 0.5,
        "attn_implementation": draw.choice(("sdpa", "eager")),
        "optim": draw.choice(("adamw_torch_fused", "adamw_bnb_8bit", "paged_adamw_8bit", "sgd")),
        "gpu": draw.choice(("rtx-4090", "h100", "a100-80gb-sxm")),
    }


if __name__ == "__main__":
    main()
