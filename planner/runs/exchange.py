"""The history as a file for other programs and other machines: csv for reading, json for importing again."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from planner.errors import RequestError
from planner.runs.record import REQUIRED, Record

FORMAT = "tunebudget-runs"
#: Columns of the csv: one figure each; what is nested is in the json.
CSV_COLUMNS = (
    "run", "created_at", "level", "status", "model", "method", "device", "dtype", "per_device_train_batch_size",
    "max_length", "gradient_checkpointing", "optim", "planned_peak_bytes", "peak_bytes", "allocator_peak_bytes",
    "reserved_bytes", "device_bytes", "peak_rss_bytes", "steady_bytes", "weights_bytes", "trainable_params", "steps",
    "step_seconds_median", "step_seconds_spread", "tokens_per_second", "flops_per_step", "flops_per_second", "torch",
    "transformers", "error",
)  # fmt: skip


def as_json(records: Sequence[Record]) -> str:
    """All of every record."""
    return json.dumps({"format": FORMAT, "version": 1, "runs": list(records)}, indent=1) + "\n"


def as_csv(records: Sequence[Record]) -> str:
    """One line a run."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(_flat(record) for record in records)
    return text.getvalue()


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    hardware = record.get("hardware") or {}
    return {
        **record["request"],
        **(record.get("versions") or {}),
        **record,
        "device": hardware.get("name"),
        "planned_peak_bytes": (record.get("plan") or {}).get("peak_bytes"),
    }


def write(records: Sequence[Record], path: Path) -> None:
    """Write the history in the format of the file's ending, whole or not at all.

    Raises RequestError for another ending, and where the file cannot be written.
    """
    writers = {".json": as_json, ".csv": as_csv}
    if path.suffix.lower() not in writers:
        raise RequestError(f"--export {path}: the ending says the format: use .json (which --import reads) or .csv")
    text = writers[path.suffix.lower()](records)
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_text(text)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RequestError(f"--export {path}: {error.strerror or error}; nothing was written") from None


def read(path: Path) -> list[Record]:
    """The records of an exported json file.

    Raises RequestError with one line where it is none.
    """
    try:
        data = json.loads(path.read_text())
    except OSError as error:
        raise RequestError(f"--import {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise RequestError(f"--import {path}: no JSON ({error}); give a file that --export wrote") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("runs"), list):
        raise RequestError(f"--import {path}: not a history of runs; give a .json file that --export wrote")
    for number, record in enumerate(data["runs"], 1):
        missing = REQUIRED if not isinstance(record, dict) else [name for name in REQUIRED if name not in record]
        if missing:
            raise RequestError(f"--import {path}: run {number} lacks {', '.join(missing)}; nothing was imported")
    return list(data["runs"])
