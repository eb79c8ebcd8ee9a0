"""The part of ``doctor`` that looks for devices to measure on: through torch, in a child; and what is missing there."""

from collections.abc import Mapping, Sequence
from typing import Any

from planner.child import missing_packages, run_child
from planner.errors import PlannerError
from planner.installed import is_installed
from planner.report import Block, Column, Table, Text
from planner.units import format_gib

SECONDS = 120.0
Device = Mapping[str, Any]


def find_devices() -> tuple[list[dict[str, Any]], str | None]:
    """Devices as torch finds them, and one line where it could not be asked."""
    if not (is_installed("torch") and is_installed("psutil")):
        return [], None
    try:
        answer = run_child({"level": "devices"}, time_limit_seconds=SECONDS)
    except PlannerError as error:
        return [], f"torch is installed and could not be asked: {error.message}"
    return answer["devices"], None


def missing(devices: Sequence[Device], cards: Sequence[Mapping[str, Any]], problem: str | None) -> list[dict[str, str]]:
    """What stands between this machine and a measurement, and how to get it."""
    found = []
    packages = missing_packages()
    if packages:
        how = 'pip install torch==2.13.0, then pip install -e ".[profiler]"'
        found.append({"what": f"{', '.join(packages)}: needed to trace and to profile", "how": how})
    if problem is not None:
        found.append({"what": problem, "how": "install torch==2.13.0 anew for this machine"})
    if devices and cards and all(device["platform"] != "cuda" for device in devices):
        how = "install torch==2.13.0 from the index for your CUDA version (pytorch.org/get-started)"
        found.append({"what": "nvidia-smi shows a card and this torch cannot use it", "how": how})
    if cards and not is_installed("pynvml"):
        how = "pip install nvidia-ml-py"
        found.append({"what": "NVIDIA's own counters (device memory as nvidia-smi shows it)", "how": how})
    return found


def blocks(devices: Sequence[Device], lacking: Sequence[Mapping[str, str]]) -> list[Block]:
    """Devices and what is missing, as tables."""
    columns = (
        Column("device"),
        Column("name"),
        Column("memory", "number"),
        Column("free", "number"),
        Column("capability"),
        Column("driver"),
        Column("libraries"),
    )
    parts: list[Block] = []
    if devices:
        parts.append(Table("Devices to measure on", columns, tuple(_cells(device) for device in devices)))
    if lacking:
        rows = tuple((one["what"], one["how"]) for one in lacking)
        parts.append(Table("Missing", (Column("what"), Column("how to get it")), rows))
    else:
        parts.append(Text("Nothing is missing to trace and to profile here."))
    return parts


def _cells(device: Device) -> tuple[str, ...]:
    libraries = ", ".join(f"{name} {number}" for name, number in device["libraries"].items())
    platform = f"{device['device']} (ROCm)" if device["platform"] == "rocm" else device["device"]
    memory = (format_gib(device[key] or 0) for key in ("total_bytes", "free_bytes"))
    return (
        platform,
        device["name"],
        *memory,
        device["compute_capability"] or "",
        device["driver"] or "",
        libraries,
    )
