"""What an accelerator's caching allocator counted, and on the CPU what torch's profiler saw of its allocator.

Source: torch 2.13 torch/accelerator/memory.py (memory_stats), torch/mps/__init__.py, torch/profiler (profile_memory).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch

from profiler.devices.device import Device


@dataclass(frozen=True, slots=True)
class AllocatorStats:
    """Peaks since the last reset in bytes, and how often the allocator had to flush its cache or give up.

    A peak with retries is what was left after flushing, not what the step wanted.
    """

    peak_allocated_bytes: int
    peak_reserved_bytes: int
    allocated_bytes: int
    reserved_bytes: int
    num_alloc_retries: int
    num_ooms: int

    @property
    def trustworthy(self) -> bool:
        """Whether the peak is one."""
        return self.num_alloc_retries == 0 and self.num_ooms == 0

    def as_dict(self) -> dict[str, int]:
        """The figures as JSON."""
        return asdict(self)


def synchronize(device: Device) -> None:
    """Wait until the device has done what it was given; the CPU has."""
    if device.kind != "cpu":
        torch.accelerator.synchronize()


def reset_peaks(device: Device) -> None:
    """Start the peaks and the counters of retries anew; MPS has no peaks."""
    if device.kind in ("cuda", "xpu"):
        torch.accelerator.reset_peak_memory_stats(device.device)
        torch.accelerator.reset_accumulated_memory_stats(device.device)


def read_stats(device: Device, before: AllocatorStats | None = None) -> AllocatorStats | None:
    """The allocator's figures; retries and OOMs since `before`. None where the device has no such allocator."""
    if device.kind not in ("cuda", "xpu"):
        return None
    stats = torch.accelerator.memory_stats(device.device)
    return AllocatorStats(
        int(stats.get("allocated_bytes.all.peak", 0)),
        int(stats.get("reserved_bytes.all.peak", 0)),
        int(stats.get("allocated_bytes.all.current", 0)),
        int(stats.get("reserved_bytes.all.current", 0)),
        int(stats.get("num_alloc_retries", 0)) - (before.num_alloc_retries if before else 0),
        int(stats.get("num_ooms", 0)) - (before.num_ooms if before else 0),
    )


def limit_memory(device: Device, limit_bytes: int | None) -> None:
    """Let the process have no more than this of the card; on the CPU whoever started it watches."""
    if limit_bytes is None or not device.total_bytes or device.kind not in ("cuda", "xpu"):
        return
    fraction = min(limit_bytes / device.total_bytes, 1.0)
    torch.get_device_module(device.kind).set_per_process_memory_fraction(fraction, device.device)


def cpu_allocator_peak(step: Callable[[], None]) -> int:
    """How far a step's allocations rise above what was live before it, by the CPU allocator's own events.

    A cross-check of followed storages: it also sees what kernels allocate and free inside themselves.
    """
    options = {"activities": [torch.profiler.ProfilerActivity.CPU], "profile_memory": True}
    with torch.profiler.profile(**options) as profiled:  # type: ignore[arg-type]
        step()
    live = peak = 0
    for _, size in sorted(_allocations(profiled.profiler.kineto_results.experimental_event_tree())):
        live += size
        peak = max(peak, live)
    return peak


def _allocations(roots: list[Any]) -> list[tuple[int, int]]:
    """(time, bytes) of every allocation (positive) and release (negative) on the CPU."""
    found, waiting = [], list(roots)
    while waiting:
        event = waiting.pop()
        waiting += event.children
        kind, fields = event.typed
        if kind == torch._C._profiler._EventType.Allocation and fields.device.type == "cpu":
            found.append((event.start_time_ns, fields.alloc_size))
    return found
