"""``doctor``: what is installed and found on this machine; torch is asked in a child, and is not needed."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from planner import __version__
from planner.catalog import find_gpu
from planner.catalog.tables import read_table
from planner.cli.doctor_devices import blocks as device_blocks
from planner.cli.doctor_devices import find_devices, missing
from planner.cli.options import json_option
from planner.cli.output import print_json, print_report
from planner.errors import UnknownGpuError
from planner.report import Block, Column, Table, Text
from planner.units import MIB, format_gib

_LIGHT = ("click", "pydantic", "rich", "numpy", "pandas", "plotly", "streamlit")
_PROFILER = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "psutil")
_DATA = {"models": ("models/index.csv", "checked"), "gpus": ("gpus.csv", "as_of"), "prices": ("prices.csv", "as_of")}
_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """What is installed and found: Python, packages, devices to measure on, what is missing, how old the data is."""
    devices, problem = find_devices()
    gpus = _gpus()
    found = {
        "tunebudget": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in (*_LIGHT, *_PROFILER)},
        "gpus": gpus,
        "devices": devices,
        "missing": missing(devices, gpus, problem),
        "data": {name: _data(*where) for name, where in _DATA.items()},
    }
    if as_json:
        print_json(found)
    else:
        print_report(_blocks(found))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _gpus() -> list[dict[str, Any]]:
    """The cards nvidia-smi shows; none where there is no nvidia-smi."""
    try:
        listed = subprocess.run(_QUERY, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [_gpu(*map(str.strip, line.split(","))) for line in listed.splitlines() if line.count(",") == 2]


def _gpu(name: str, total_mib: str, driver: str) -> dict[str, Any]:
    total = int(total_mib) * MIB if total_mib.isdecimal() else None
    try:
        key = find_gpu(name).key
    except UnknownGpuError:
        key = None
    return {"name": name, "total_bytes": total, "driver": driver, "catalogue_key": key}


def _data(table: str, date_column: str) -> dict[str, Any]:
    dates = sorted(filter(None, read_table(table).column(date_column)))
    return {"rows": len(read_table(table).rows), "oldest": dates[0], "newest": dates[-1]}


def _blocks(found: dict[str, Any]) -> list[Block]:
    packages = tuple((name, installed or _missing(name)) for name, installed in found["packages"].items())
    data = tuple((name, f"{d['rows']:,}", d["oldest"], d["newest"]) for name, d in found["data"].items())
    dates = (Column("table"), Column("rows", "number"), Column("oldest"), Column("newest"))
    return [
        Text(f"TuneBudget {found['tunebudget']}, Python {found['python']}, {found['platform']}"),
        Table("Packages", (Column("package"), Column("version")), packages),
        *_gpu_blocks(found["gpus"]),
        *device_blocks(found["devices"], found["missing"]),
        Table("Data", dates, data),
    ]


def _missing(package: str) -> str:
    if package in _PROFILER:
        return 'not installed (needed only to trace or measure: pip install -e ".[profiler]")'
    return "not installed (pip install -e .)"


def _gpu_blocks(gpus: list[dict[str, Any]]) -> list[Block]:
    if not gpus:
        return [Text("No NVIDIA GPU found (nvidia-smi is missing or shows none): planning needs none.")]
    rows = tuple(
        (g["name"], format_gib(g["total_bytes"] or 0), g["driver"], g["catalogue_key"] or "not in the catalogue")
        for g in gpus
    )
    columns = (Column("GPU"), Column("memory", "number"), Column("driver"), Column("catalogue"))
    return [Table("GPUs", columns, rows)]
