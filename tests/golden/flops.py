"""Operations of a step as torch counts them, each family of the catalogue in each way of training: `python -m
tests.golden.flops [TYPE ...]` counts anew and writes flops.csv (or the rows of these model_types). Review the diff.

A row is one model_type, cut as in matrix.py, whose own code runs on fake tensors under torch.utils.flop_counter
(profiler/flops.py); a model that sizes tensors by their values runs as a small one on real tensors. The plan is held
against the table by tests/planner/memory/test_golden_flops.py.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from planner.errors import PlannerError
from planner.schema import METHODS, PlanRequest, parse_request
from tests.golden.matrix import Slice, slices

TABLE = Path(__file__).parent / "flops.csv"
CHECKPOINTING: dict[str, dict[str, Any]] = {
    "": {"gradient_checkpointing": False},
    ", checkpointing": {"gradient_checkpointing": True},
    ", reentrant": {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}},
}
SETTINGS = [(method, kind) for method in METHODS for kind in CHECKPOINTING]
COLUMNS = [f"{method}{kind}" for method, kind in SETTINGS]
HEAD = ("model_type", "model", "layers", "max_length", "date")
#: Models that size tensors by their values, small enough to run.
SMALL: dict[str, dict[str, Any]] = {
    "dbrx": {
        "model_type": "dbrx", "d_model": 128, "n_heads": 4, "n_layers": 2, "max_seq_len": 512, "vocab_size": 500,
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 500000},
        "ffn_config": {"ffn_hidden_size": 96, "moe_num_experts": 4, "moe_top_k": 2},
    },
}  # fmt: skip
_ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
#: target_modules where PEFT refuses to adapt all linears: a router of several outputs, out_proj of Mamba's kernels.
TARGETS = {
    "llama4": _ATTENTION,
    "phimoe": _ATTENTION,
    "mamba": ["in_proj", "x_proj"],
    "nemotron_h": [*_ATTENTION, "in_proj", "up_proj", "down_proj"],
}


@dataclass(frozen=True)
class Counted:
    """A row of the table; cells: operations by column, none where torch or the libraries cannot do it."""

    slice: Slice
    date: str
    cells: dict[str, str]

    def requests(self) -> Iterator[tuple[str, PlanRequest]]:
        """A request for each column, of the newest release of transformers: that is what was counted."""
        base = self.slice.request("full", False).model_dump(exclude_unset=True) | {"stack": "transformers"}
        base["model"] = SMALL.get(self.slice.model_type, base["model"])
        for method, kind in SETTINGS:
            fields = base | {"method": method} | CHECKPOINTING[kind]
            if method != "full" and self.slice.model_type in TARGETS:
                fields["lora"] = {"target_modules": TARGETS[self.slice.model_type]}
            yield f"{method}{kind}", parse_request(fields)


def counted(row: Slice) -> Counted:
    """The row as torch counts it today."""
    found = Counted(row, f"{datetime.now(UTC):%Y-%m-%d}", {})
    found.cells.update({column: _cell(request, row.model_type) for column, request in found.requests()})
    return found


def _cell(request: PlanRequest, model_type: str) -> str:
    from profiler.flops import count_step

    try:
        return str(count_step(request, fake=model_type not in SMALL))
    except (PlannerError, ValueError, RuntimeError, TypeError, AttributeError, AssertionError) as error:
        print(model_type, request.method, repr(error)[:200], file=sys.stderr)
        return ""


def read_table() -> list[Counted]:
    """The recorded rows."""
    with TABLE.open(newline="") as table:
        return [
            Counted(
                Slice(row["model_type"], row["model"], int(row["layers"]), int(row["max_length"])),
                row["date"],
                {column: row[column] for column in COLUMNS},
            )
            for row in csv.DictReader(table)
        ]


def main(only: list[str]) -> None:
    kept = {row.slice.model_type: row for row in read_table()} if TABLE.exists() else {}
    for row in slices(only):
        kept[row.model_type] = counted(row)
        print(row, *kept[row.model_type].cells.values(), flush=True)
        write_table([kept[name] for name in sorted(kept)])


def write_table(rows: list[Counted]) -> None:
    """Record the rows."""
    with TABLE.open("w", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow([*HEAD, *COLUMNS])
        for row in rows:
            s = row.slice
            writer.writerow([s.model_type, s.model, s.layers, s.max_length, row.date, *row.cells.values()])


if __name__ == "__main__":
    main(sys.argv[1:])
