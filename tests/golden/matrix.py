"""Plan against trace, each family of the catalogue in each way of training: `python -m tests.golden.matrix [TYPE ...]`
writes matrix.csv anew (or the rows of these model_types). Review the diff.

A row is one model_type: the smallest model of the catalogue that transformers' class builds as it is, cut to the layers
of its first period; the columns say by how many percent of the traced peak the planned one is off.
tests/profiler/test_matrix.py traces it again: a part by default, the rest with -m slow.
"""

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.architecture.read import read_architecture
from planner.catalog import list_models, resolve_config
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.memory.layers import exceeds_transformers
from planner.schema import METHODS, PlanRequest, parse_request
from tests.installed import installed_stack

TABLE = Path(__file__).parent / "matrix.csv"
SETTINGS = [(method, checkpointing) for method in METHODS for checkpointing in (False, True)]
COLUMNS = [f"{method}{', checkpointing' if checkpointing else ''}" for method, checkpointing in SETTINGS]
HEAD = ("model_type", "model", "layers", "max_length")
BATCH, LENGTH = 2, 256
#: Models whose code loops over the tokens: short, so that a trace takes seconds.
LOOPING_LENGTH = 32
LOOPING = {"jamba", "mamba"}
#: Not traced: not a model of text, and two whose code is not in transformers.
NOT_TRACED = {"vit", "internlm2", "kimi_k2"}
#: Fields that say something of each layer in a way of their own, for slices of so many layers.
ADAPTED: dict[str, tuple[int, dict[str, Any]]] = {
    "gpt_neo": (2, {"attention_types": [[["global", "local"], 1]]}),
    "gemma4": (10, {"num_kv_shared_layers": 5}),
}


@dataclass(frozen=True)
class Slice:
    """A model of the catalogue, cut."""

    model_type: str
    model: str
    layers: int
    max_length: int

    def request(self, method: str, checkpointing: bool) -> PlanRequest:
        """The question of one cell."""
        from profiler.configs import cut_fields

        config = _adapted(cut_fields(resolve_config(self.model)[1], self.layers), self.model_type)
        fields = {"method": method, "gradient_checkpointing": checkpointing, "device": "cpu"}
        fields |= {"stack": installed_stack()}
        fields |= {"per_device_train_batch_size": BATCH, "max_length": self.max_length}
        return parse_request({"model": config} | fields)

    def cells(self) -> list[str]:
        """All cells of the row as they are today, in the order of the columns."""
        return [cell(self.request(*setting)) for setting in SETTINGS]


def cell(request: PlanRequest) -> str:
    """How far the plan is off today: percent of the traced peak, or who refuses."""
    from profiler.trace import trace

    try:
        planned = estimate(request).peak_bytes
    except PlannerError:
        return "plan refuses"
    try:
        traced = trace(request, whole=True).peak_bytes
    except (PlannerError, ValueError, RuntimeError, TypeError, AttributeError):
        return "trace refuses"
    return f"{100 * (planned / traced - 1) + 0.0:.3f}".replace("-0.000", "0.000")


def slices(only: list[str]) -> Iterator[Slice]:
    """The smallest model of each model_type that can be traced, or of these only."""
    rows = sorted((row for row in list_models() if can_be_traced(row.id)), key=lambda row: row.params)
    types = [resolve_config(row.id)[1].get("model_type", row.model_type) for row in rows]
    smallest = {t: row for t, row in zip(reversed(types), reversed(rows), strict=True)}
    for model_type, row in sorted(smallest.items()):
        if not only or model_type in only:
            length = LOOPING_LENGTH if model_type in LOOPING else LENGTH
            layers = ADAPTED[model_type][0] if model_type in ADAPTED else _first_period(resolve_config(row.id)[1])
            yield Slice(model_type, row.id, layers, length)


def can_be_traced(model: str) -> bool:
    """Transformers has a class of this model_type, and it builds all that the config asks for."""
    config = resolve_config(model)[1]
    return config["model_type"] not in NOT_TRACED and not exceeds_transformers(read_architecture(config))


def _adapted(config: dict[str, Any], model_type: str) -> dict[str, Any]:
    """The config with the fields of its slice."""
    fields = ADAPTED.get(model_type, (0, {}))[1]
    if isinstance(config.get("text_config"), dict):
        return config | {"text_config": config["text_config"] | fields}
    return config | fields


def _first_period(config: dict[str, Any]) -> int:
    """How many layers hold one of each kind."""
    from profiler.configs import build_config, num_layers_of
    from profiler.slices import layer_signatures

    built = build_config(parse_request({"model": config, "method": "full"}))
    depth = num_layers_of(built)
    signatures = layer_signatures(built, depth)
    kinds = set(signatures)
    return min((n for n in range(1, depth + 1) if set(signatures[:n]) == kinds), default=depth)


Row = tuple[Slice, list[str]]


def read_table() -> list[Row]:
    """The recorded rows."""
    with TABLE.open(newline="") as table:
        return [
            (
                Slice(row["model_type"], row["model"], int(row["layers"]), int(row["max_length"])),
                [row[c] for c in COLUMNS],
            )
            for row in csv.DictReader(table)
        ]


def main(only: list[str]) -> None:
    kept = {slice_.model_type: (slice_, cells) for slice_, cells in read_table()} if TABLE.exists() else {}
    for slice_ in slices(only):
        kept[slice_.model_type] = (slice_, slice_.cells())
        print(slice_, *kept[slice_.model_type][1], flush=True)
        write_table([kept[name] for name in sorted(kept)])


def write_table(rows: list[Row]) -> None:
    """Record the rows."""
    with TABLE.open("w", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow([*HEAD, *COLUMNS])
        writer.writerows([s.model_type, s.model, s.layers, s.max_length, *cells] for s, cells in rows)


if __name__ == "__main__":
    main(sys.argv[1:])
