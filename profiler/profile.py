"""The third level of truth: real steps on a device of this machine, their bytes, their times and what the machine saw.

Two steps are followed storage by storage, as a trace is; then come warm-up and timed steps with nothing in their way;
then one step under torch's profiler (CPU) and one under its FLOP counter.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from planner.errors import RequestError
from planner.schema import PlanRequest
from profiler.allocator import (
    AllocatorStats,
    cpu_allocator_peak,
    limit_memory,
    read_stats,
    reset_peaks,
    synchronize,
)
from profiler.build import TORCH_DTYPES
from profiler.configs import build_config, num_layers_of
from profiler.devices import host
from profiler.devices.device import Device
from profiler.devices.find import pick_device
from profiler.devices.nvidia import device_memory
from profiler.extrapolate import extrapolate
from profiler.flops import count_flops, matmul_flops_per_second
from profiler.measure import NUM_STEPS, Training, Unfollowed, build_training, follow
from profiler.measured import Measured
from profiler.settings import Settings
from profiler.slices import Slices, find_slices
from profiler.timing import summary, timed

#: Told how far a run is: done, of, what comes now, and the peak of bytes so far.
Say = Callable[[int, int, str, int | None], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """What one run gave; bytes and seconds.

    allocator_peak_bytes: the peak as the device's allocator counts it (CPU: by the profiler's events of one step).
    system_used_bytes: device memory in use as the driver sees it, all processes (MPS: this one); of the CPU, nothing.
    """

    measured: Measured
    step_seconds: list[float]
    followed_step_seconds: float
    flops_per_step: int | None
    allocator_peak_bytes: int | None
    allocator: AllocatorStats | None
    rss_bytes: int
    peak_rss_bytes: int | None
    base_rss_bytes: int
    system_used_bytes: int | None


def profile(request: PlanRequest, settings: Settings, say: Say) -> dict[str, Any]:
    """Run a request and return the figures of its record.

    Raises RequestError for what cannot be run here; running out of memory raises what torch raises.
    """
    device = pick_device(settings.device)
    limit_memory(device, settings.memory_limit_bytes)
    config = build_config(request)
    slices = _slices(request, config) if settings.slices else None
    if slices is None:
        run = _run(request, config, device, settings, _Progress(say, settings))
    else:
        run = _run_slices(request, slices, device, settings, say)
    ceiling = matmul_flops_per_second(TORCH_DTYPES[request.dtype], device.device)
    return _figures(run, request, settings) | {
        "hardware": device.as_dict() | {"matmul_flops_per_second": ceiling},
        "slices": None if slices is None else [slices.small, slices.large],
    }


def _slices(request: PlanRequest, config: Any) -> Slices:
    found = find_slices(request, config)
    if found is None:
        raise RequestError(
            f"this {config.model_type} of {num_layers_of(config)} layers cannot be measured in slices: its layers do "
            "not repeat, or it is too shallow; use a smaller request, or --num-layers",
            "model",
        )
    return found


class _Progress:
    """Counts the parts of a run: building, followed, warm-up, timed, and the two checks."""

    def __init__(self, say: Say, settings: Settings, prefix: str = ""):
        self.say, self.prefix, self.done = say, prefix, 0
        self.of = 1 + NUM_STEPS + settings.warmup + settings.steps + 2 * settings.checks
        self.peak: int | None = None

    def __call__(self, what: str) -> None:
        """Say what comes now."""
        self.say(self.done, self.of, self.prefix + what, self.peak)
        self.done += 1


def _run(request: PlanRequest, config: Any, device: Device, settings: Settings, progress: _Progress) -> Profile:
    host.reset_peak_rss()
    base_rss = host.rss_bytes()
    progress("building the model")
    training = build_training(request, config, device.device, settings.seed)
    reset_peaks(device)  # the peak of the steps is asked for: building holds a base before it is quantized
    before = read_stats(device)
    measured, followed_seconds = _follow(training, device, progress)
    step_seconds = _timed_steps(training, device, settings, progress)
    synchronize(device)
    stats, peak_rss = read_stats(device, before), host.peak_rss_bytes()
    allocator_peak, flops = None if stats is None else stats.peak_allocated_bytes, None
    if settings.checks:
        allocator_peak = _allocator_peak(training, device, measured, stats, progress)
        progress("counting floating point operations")
        flops = count_flops(lambda: training.step(Unfollowed()))
    return Profile(
        _checked(measured, stats),
        step_seconds,
        followed_seconds,
        flops,
        allocator_peak,
        stats,
        host.rss_bytes(),
        peak_rss,
        base_rss,
        _system_used(device),
    )


def _follow(training: Training, device: Device, progress: _Progress) -> tuple[Measured, float]:
    """The bytes of the first steps, and the seconds of the last of them."""
    seconds = 0.0

    def run(number: int, step: Callable[[], None]) -> None:
        nonlocal seconds
        progress(f"step {number} of {NUM_STEPS}, every storage followed")
        seconds = timed(step, device)

    measured = follow(training, run)
    progress.peak = measured.peak_bytes
    return measured, seconds


def _timed_steps(training: Training, device: Device, settings: Settings, progress: _Progress) -> list[float]:
    for number in range(settings.warmup):
        progress(f"warm-up step {number + 1} of {settings.warmup}")
        training.step(Unfollowed())
    seconds = []
    for number in range(settings.steps):
        progress(f"step {number + 1} of {settings.steps}")
        seconds.append(timed(lambda: training.step(Unfollowed()), device))
    return seconds


def _allocator_peak(
    training: Training, device: Device, measured: Measured, stats: AllocatorStats | None, progress: _Progress
) -> int | None:
    progress("one step under the allocator's own count")
    if stats is not None:
        return stats.peak_allocated_bytes
    if device.kind != "cpu":
        return None
    return measured.steady_bytes + cpu_allocator_peak(lambda: training.step(Unfollowed()))


def _checked(measured: Measured, stats: AllocatorStats | None) -> Measured:
    """A peak that the allocator reached only by flushing its cache is said to be none."""
    if stats is None or stats.trustworthy:
        return measured
    note = (
        f"the allocator had to retry {stats.num_alloc_retries} times ({stats.num_ooms} failures): the step wanted more "
        "than there was; allocator_peak_bytes is what it was left with, not a peak"
    )
    return replace(measured, notes=(*measured.notes, note))


def _system_used(device: Device) -> int | None:
    if device.platform == "cuda":
        properties: Any = torch.cuda.get_device_properties(device.device)
        memory = device_memory(str(properties.uuid))
        if memory is not None:
            return memory[0]
    if device.kind == "mps":
        return int(torch.mps.driver_allocated_memory())
    if device.kind in ("cuda", "xpu"):
        free, total = torch.accelerator.get_memory_info(device.device)
        return int(total - free)
    return None


def _run_slices(request: PlanRequest, slices: Slices, device: Device, settings: Settings, say: Say) -> Profile:
    """Two shallow runs that stand for the deep model: bytes place by place, seconds and FLOPs by depth."""
    runs = [
        _run(request, build_config(request, depth), device, settings, _Progress(say, settings, f"{depth} layers: "))
        for depth in (slices.small, slices.large)
    ]
    small, large = runs
    pairs = zip(sorted(small.step_seconds), sorted(large.step_seconds), strict=True)
    measured = extrapolate(small.measured, large.measured, slices, "measured")
    note = "times and FLOPs are extrapolated by depth; allocator, RSS and device memory are those of the larger slice"
    return replace(
        large,
        measured=replace(measured, notes=(*measured.notes, note)),
        step_seconds=[low + max(high - low, 0.0) * slices.num_periods for low, high in pairs],
        flops_per_step=_deep_flops(small.flops_per_step, large.flops_per_step, slices),
        allocator_peak_bytes=None,
    )


def _deep_flops(small: int | None, large: int | None, slices: Slices) -> int | None:
    return None if small is None or large is None else small + (large - small) * slices.num_periods


def _figures(run: Profile, request: PlanRequest, settings: Settings) -> dict[str, Any]:
    tokens = request.per_device_train_batch_size * request.max_length * request.gradient_accumulation_steps
    return {
        **run.measured.as_dict(),
        "peak_is_peak": run.allocator is None or run.allocator.trustworthy,
        "allocator_peak_bytes": run.allocator_peak_bytes,
        "allocator": None if run.allocator is None else run.allocator.as_dict(),
        "reserved_bytes": None if run.allocator is None else run.allocator.peak_reserved_bytes,
        "rss_bytes": run.rss_bytes,
        "peak_rss_bytes": run.peak_rss_bytes,
        "base_rss_bytes": run.base_rss_bytes,
        "device_bytes": run.system_used_bytes,
        "steps": settings.steps,
        "step_seconds": run.step_seconds,
        "followed_step_seconds": run.followed_step_seconds,
        "flops_per_step": run.flops_per_step,
        **summary(run.step_seconds, tokens, run.flops_per_step),
        "settings": settings.as_dict() | {"threads": torch.get_num_threads()},
    }
