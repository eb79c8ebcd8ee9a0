"""The host's processor and memory, and this process's share of it.  torch is not needed here."""

import platform
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from planner.units import KIB
from profiler.devices.device import Device

_CGROUP_V2 = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))
_CGROUP_V1 = (
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def host_device(libraries: dict[str, str]) -> Device:
    """The CPU as a device."""
    total, free = host_memory()
    return Device("cpu", "cpu", processor_name(), total, free, libraries=libraries)


def host_memory() -> tuple[int, int]:
    """(total, available) bytes: the machine's, or the container's where its limit is lower."""
    memory = psutil.virtual_memory()
    total, free = int(memory.total), int(memory.available)
    for limit_file, used_file in (_CGROUP_V2, _CGROUP_V1):
        limit, used = _number(limit_file), _number(used_file)
        if limit is not None and used is not None and limit < total:
            return limit, max(min(free, limit - used), 0)
    return total, free


def _number(path: Path) -> int | None:
    """The number in a file of the kernel; None for "max" and where there is no such file."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def processor_name() -> str:
    """The processor's model, from the kernel where it says."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "CPU"


def rss_bytes() -> int:
    """Resident memory of this process now."""
    return int(psutil.Process().memory_info().rss)


def reset_peak_rss() -> bool:
    """Start the process's high-water mark anew; False where the kernel cannot (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_rss_bytes() -> int | None:
    """The high-water mark of resident memory: since reset_peak_rss where that works, else of the whole life."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * KIB
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB
