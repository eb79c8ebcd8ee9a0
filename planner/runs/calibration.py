"""What this machine teaches: runtime overhead, the allocator's slack and the share of its matrix speed steps reach.

Fitted to the measured runs of the history, one device at a time. On a CPU the process's resident memory is a straight
line over the tensor bytes (Theil-Sen: the median of the slopes of all pairs, then the median of what is left); on an
accelerator each part is measured by itself.
"""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from planner.errors import PlannerError
from planner.place import data_dir
from planner.runs.record import Record

FILE_NAME = "calibration.json"

#: Runs that a fit needs, and how far the largest peak must lie above the smallest for a slope to mean something.
MIN_RUNS = 3
MIN_SPREAD = 1.5


class CalibrationError(PlannerError):
    """There is nothing to fit, or no calibration to use."""


class Calibration(BaseModel):
    """One device's constants."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str = Field(description="the device, as the driver or the kernel calls it")
    device: str = Field(description="cpu, or torch's type of the accelerator")
    runtime_bytes: int = Field(description="what the process takes besides tensors")
    fragmentation_share: float = Field(description="what the allocator or the heap holds over the tensors' peak")
    flops_share: dict[str, float] = Field(description="by method: FLOP/s of a step over those of a large matmul")
    matmul_flops_per_second: dict[str, float] = Field(description="by dtype, the median over the runs")
    median_error: float = Field(description="of device bytes, on the runs fitted to")
    num_runs: int
    fitted_at: str
    versions: dict[str, str]

    def device_bytes(self, peak_bytes: int) -> int:
        """What the device shows where tensors peak at this."""
        return round(peak_bytes * (1 + self.fragmentation_share)) + self.runtime_bytes


def fit(records: Sequence[Record]) -> list[Calibration]:
    """A calibration of each device with enough runs.

    Raises CalibrationError where no device has.
    """
    by_device: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if (
            record["status"] == "done"
            and record["level"] == "profile"
            and not record.get("slices")
            and record["flops_per_second"]
        ):
            hardware = record["hardware"]
            by_device.setdefault((hardware["name"], hardware["device"].partition(":")[0]), []).append(record)
    fitted = [_fit(name, kind, runs) for (name, kind), runs in by_device.items() if _enough(runs)]
    if not fitted:
        raise CalibrationError(
            f"calibrate: the history has no device with {MIN_RUNS} measured runs whose peaks differ by "
            f"{MIN_SPREAD:g} times: `tunebudget profile --suite FOLDER` makes them "
            "(--published fits the bands to published runs)"
        )
    return fitted


def _enough(runs: Sequence[Record]) -> bool:
    peaks = [run["peak_bytes"] for run in runs]
    return len(runs) >= MIN_RUNS and max(peaks) >= MIN_SPREAD * min(peaks)


def _fit(name: str, kind: str, runs: Sequence[Record]) -> Calibration:
    share, runtime = _line(runs) if kind == "cpu" else _parts(runs)
    last = max(runs, key=lambda run: run["created_at"])
    found = Calibration(
        name=name,
        device=kind,
        runtime_bytes=runtime,
        fragmentation_share=share,
        flops_share=_by(runs, "method", lambda r: r["flops_per_second"] / r["hardware"]["matmul_flops_per_second"]),
        matmul_flops_per_second=_by(runs, "dtype", lambda r: r["hardware"]["matmul_flops_per_second"]),
        median_error=0.0,
        num_runs=len(runs),
        fitted_at=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=last["versions"],
    )
    errors = [abs(found.device_bytes(run["peak_bytes"]) / used - 1) for run in runs if (used := used_bytes(run))]
    return found.model_copy(update={"median_error": median(errors) if errors else 0.0})


def used_bytes(run: Record) -> int | None:
    """What the device showed of a run: a CPU the process's peak, an accelerator what the driver counted."""
    key = "peak_rss_bytes" if run["hardware"]["device"] == "cpu" else "device_bytes"
    value: int | None = run.get(key)
    return value


def _line(runs: Sequence[Record]) -> tuple[float, int]:
    """(slope - 1, intercept) of resident memory over the tensors' peak; the slope is at least 1."""
    points = [(run["peak_bytes"], used) for run in runs if (used := used_bytes(run))]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if a[0] != b[0]]
    slope = max(median(slopes), 1.0)
    return slope - 1, max(round(median([used - slope * peak for peak, used in points])), 0)


def _parts(runs: Sequence[Record]) -> tuple[float, int]:
    """(reserved over allocated - 1, what the driver counts over what is reserved)."""
    counted = [run for run in runs if run.get("reserved_bytes") and run.get("peak_is_peak")]
    if not counted:
        raise CalibrationError("calibrate: no run without allocator retries on this accelerator")
    share = median([run["reserved_bytes"] / run["allocator_peak_bytes"] - 1 for run in counted])
    over = [run["device_bytes"] - run["allocator"]["reserved_bytes"] for run in counted if run.get("device_bytes")]
    return max(share, 0.0), max(round(median(over)), 0) if over else 0


def _by(runs: Sequence[Record], key: str, value: Callable[[Record], float]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for run in runs:
        name = run.get(key) or run["request"].get(key) or "bfloat16"
        groups.setdefault(name, []).append(value(run))
    return {name: median(values) for name, values in sorted(groups.items())}


def write(calibrations: Sequence[Calibration], folder: Path | None = None) -> Path:
    """Keep calibrations in the user's data folder, each in the place of an older one of its device.

    Raises CalibrationError where the file cannot be written.
    """
    path = (folder or data_dir()) / FILE_NAME
    names = {(one.name, one.device) for one in calibrations}
    kept = [one for one in load(folder) if (one.name, one.device) not in names]
    draft = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps([one.model_dump() for one in (*kept, *calibrations)], indent=1) + "\n")
        draft.replace(path)
    except OSError as error:
        raise CalibrationError(f"calibrate: {path}: {error.strerror}; the old calibration is as it was") from None
    return path


def load(folder: Path | None = None) -> list[Calibration]:
    """The calibrations kept; none where there is no file.

    Raises CalibrationError where the file is broken.
    """
    path = (folder or data_dir()) / FILE_NAME
    if not path.exists():
        return []
    try:
        return [Calibration.model_validate(one) for one in json.loads(path.read_text())]
    except (OSError, ValueError, ValidationError, TypeError):
        raise CalibrationError(f"{path} is no calibration: run `tunebudget calibrate` again, or remove it") from None
