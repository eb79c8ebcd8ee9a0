"""Step times and what they come to."""

import time
from collections.abc import Callable
from statistics import median

from profiler.allocator import synchronize
from profiler.devices.device import Device


def timed(step: Callable[[], None], device: Device) -> float:
    """Seconds of one step, the device's queue empty before and after."""
    synchronize(device)
    started = time.perf_counter()
    step()
    synchronize(device)
    return time.perf_counter() - started


def summary(step_seconds: list[float], tokens_per_step: int, flops_per_step: int | None) -> dict[str, float | None]:
    """The median, its spread (half the distance of the quartiles, as a share of it), and the rates at the median."""
    middle = median(step_seconds)
    ordered = sorted(step_seconds)
    low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
    return {
        "step_seconds_median": middle,
        "step_seconds_spread": (high - low) / 2 / middle,
        "tokens_per_second": tokens_per_step / middle,
        "flops_per_second": None if flops_per_step is None else flops_per_step / middle,
    }
