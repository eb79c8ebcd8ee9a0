"""Devices found through torch: CUDA and ROCm, XPU, MPS, and always the CPU.

Source: torch 2.13 torch/accelerator/__init__.py and memory.py, torch/cuda/__init__.py, torch/mps/__init__.py.
"""

from typing import Any

import torch

from planner.errors import RequestError
from profiler.devices.device import Device, Platform
from profiler.devices.host import host_device
from profiler.devices.nvidia import driver_version


def find_devices() -> list[Device]:
    """Accelerators first, the CPU last."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    found = []
    if accelerator is not None:
        found = [_accelerator(accelerator.type, index) for index in range(torch.accelerator.device_count())]
    return [*found, host_device({"torch": str(torch.__version__), "threads": str(torch.get_num_threads())})]


def pick_device(wanted: str | None) -> Device:
    """The device to run on: the first accelerator, or the CPU; or the first of the kind asked for.

    Raises RequestError where there is none of that kind.
    """
    devices = find_devices()
    if wanted is None:
        return devices[0]
    match = next((d for d in devices if wanted in (d.device, d.kind)), None)
    if match is None:
        names = ", ".join(d.device for d in devices)
        raise RequestError(f"device {wanted!r}: not found here; found: {names}{_why_not(wanted)}", "device")
    return match


def _why_not(wanted: str) -> str:
    if wanted.startswith("cuda") and torch.version.cuda is None and torch.version.hip is None:
        return " (this torch is a CPU build: pytorch.org/get-started names the index with builds for a GPU)"
    return ""


def _accelerator(kind: str, index: int) -> Device:
    if kind == "mps":
        return _mps()
    free, total = torch.accelerator.get_memory_info(index)
    properties: Any = torch.get_device_module(kind).get_device_properties(index)
    platform = _platform(kind)
    return Device(
        f"{kind}:{index}",
        platform,
        str(properties.name),
        int(total),
        int(free),
        _capability(properties) if platform == "cuda" else getattr(properties, "gcnArchName", None),
        driver_version() if platform == "cuda" else getattr(properties, "driver_version", None),
        _libraries(platform),
    )


def _platform(kind: str) -> Platform:
    if kind == "cuda":
        return "rocm" if torch.version.hip is not None else "cuda"
    if kind == "xpu":
        return "xpu"
    raise RequestError(f"device {kind!r}: the profiler runs on cuda, rocm, xpu, mps and cpu", "device")


def _mps() -> Device:
    """Apple's GPU shares the host's memory; Metal recommends how much a process should take."""
    host = host_device({})
    total = torch.mps.recommended_max_memory()
    free = min(total - torch.mps.driver_allocated_memory(), host.free_bytes or total)
    return Device("mps", "mps", host.name, total, free, libraries={"torch": str(torch.__version__)})


def _capability(properties: Any) -> str:
    return f"{properties.major}.{properties.minor}"


def _libraries(platform: Platform) -> dict[str, str]:
    """Versions of what torch was built with and found."""
    found = {"torch": str(torch.__version__), "cuda": torch.version.cuda, "hip": torch.version.hip}
    if platform == "cuda":
        found |= {"cudnn": _cudnn(), "nccl": _nccl()}
    return {name: str(value) for name, value in found.items() if value}


def _cudnn() -> int | None:
    return torch.backends.cudnn.version()


def _nccl() -> str | None:
    if not torch.distributed.is_available() or not torch.distributed.is_nccl_available():
        return None
    return ".".join(map(str, torch.cuda.nccl.version()))
