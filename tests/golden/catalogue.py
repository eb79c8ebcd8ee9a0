"""The plan against the trace over the whole catalogue.

    python -m tests.golden.catalogue                  plan again: writes catalogue_errors.csv, catalogue_families.csv
    python -m tests.golden.catalogue trace [1/2]      trace first what catalogue_traces.csv lacks (or one of two parts)

Every distinct config that a class of transformers builds as it is, at 2 x 1024 tokens (fewer where positions are
fewer), device cpu, three methods, checkpointing off and on. A trace takes seconds, all of them hours: use `nice`; it
goes on where it was stopped, one model of each model_type first. Traces do not depend on the planner, so planning again
is quick.
"""

import csv
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from planner.catalog import list_models, resolve_config
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.resolve import learned_positions, load_model
from planner.schema import PlanRequest, parse_request
from tests.golden.matrix import COLUMNS, SETTINGS, can_be_traced

FOLDER = Path(__file__).parent
TRACES, ERRORS, FAMILIES = (FOLDER / f"catalogue_{name}.csv" for name in ("traces", "errors", "families"))
BATCH, LENGTH = 2, 1024


@dataclass(frozen=True)
class Case:
    """One model of the catalogue, trained in one way."""

    model: str
    method: str
    gradient_checkpointing: bool

    def request(self, **model: Any) -> PlanRequest:
        """The request; `model`: the config in place of the model's name."""
        given = asdict(self) | {"per_device_train_batch_size": BATCH, "device": "cpu", "max_length": LENGTH}
        limit = learned_positions(load_model(parse_request(given)).architecture)
        return parse_request(given | model | {"max_length": min(LENGTH, limit or LENGTH)})


@dataclass(frozen=True)
class Traced:
    """What the trace of a case answered; refusal: why there are no bytes."""

    model: str
    method: str
    gradient_checkpointing: bool
    weights_bytes: int | None = None
    peak_bytes: int | None = None
    steady_bytes: int | None = None
    peak_phase: str = ""
    refusal: str = ""

    @property
    def case(self) -> Case:
        return Case(self.model, self.method, self.gradient_checkpointing)


FIGURES = ("weights_bytes", "peak_bytes", "steady_bytes", "peak_phase")


def cases() -> Iterator[Case]:
    """All cases, one model of each model_type first; models whose configs are equal stand once."""
    seen: set[str] = set()
    number: Counter[str] = Counter()
    models = []
    for row in list_models():
        config = resolve_config(row.id)[1]
        text, model_type = json.dumps(config, sort_keys=True), config["model_type"]
        if text not in seen and can_be_traced(row.id):
            seen.add(text)
            number[model_type] += 1
            models.append((number[model_type], row.id))
    for _, model in sorted(models, key=lambda pair: pair[0]):
        yield from (Case(model, *setting) for setting in SETTINGS)


def read_traces() -> dict[Case, Traced]:
    """The recorded traces."""
    if not TRACES.exists():
        return {}
    with TRACES.open(newline="") as table:
        return {traced.case: traced for traced in map(_traced, csv.DictReader(table))}


def _traced(row: dict[str, str]) -> Traced:
    numbers = {key: int(value) if value else None for key, value in row.items() if key.endswith("_bytes")}
    return Traced(**(row | numbers | {"gradient_checkpointing": row["gradient_checkpointing"] == "True"}))  # type: ignore[arg-type]


def trace_missing(part: int = 1, of: int = 1) -> None:
    """Trace what has no row yet and append each row as it comes."""
    done = read_traces()
    for number, case in enumerate(cases()):
        if number // len(SETTINGS) % of == part - 1 and case not in done:
            _append(_trace(case))


def _trace(case: Case) -> Traced:
    from profiler.trace import trace

    try:
        found = trace(case.request(model=resolve_config(case.model)[1]))
    except Exception as error:  # the libraries refuse in many ways; each is a row
        return Traced(**asdict(case), refusal=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
    return Traced(**asdict(case), **{name: getattr(found, name) for name in FIGURES})


def _append(traced: Traced) -> None:
    is_new = not TRACES.exists()
    with TRACES.open("a", newline="") as table:
        writer = csv.DictWriter(table, [field.name for field in fields(Traced)], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(asdict(traced))


def error_percent(traced: Traced) -> float | str | None:
    """Signed error of the planned peak in percent of the traced one; a text where one of the two refuses."""
    try:
        planned = estimate(traced.case.request()).peak_bytes
    except PlannerError:
        return "plan refuses"
    if traced.peak_bytes is None:
        return "trace refuses"
    return round(100 * (planned / traced.peak_bytes - 1), 3) + 0.0


def write_errors() -> dict[str, list[float]]:
    """Plan every traced case, write a row a model; the errors of each model_type."""
    rows: dict[str, dict[str, str]] = defaultdict(dict)
    by_type: dict[str, list[float]] = defaultdict(list)
    for case, traced in read_traces().items():
        error = error_percent(traced)
        column = COLUMNS[SETTINGS.index((case.method, case.gradient_checkpointing))]
        rows[case.model][column] = f"{error:.3f}" if isinstance(error, float) else str(error)
        if isinstance(error, float):
            by_type[_type(case.model)].append(error)
    listed = [[_type(model), model, *(cells.get(column, "") for column in COLUMNS)] for model, cells in rows.items()]
    _write(ERRORS, ["model_type", "model", *COLUMNS], sorted(listed))
    return by_type


def _type(model: str) -> str:
    return str(resolve_config(model)[1]["model_type"])


def read_recorded() -> dict[Case, float | str]:
    """The recorded errors."""
    found: dict[Case, float | str] = {}
    with ERRORS.open(newline="") as table:
        for row in csv.DictReader(table):
            for column, setting in zip(COLUMNS, SETTINGS, strict=True):
                if cell := row[column]:
                    found[Case(row["model"], *setting)] = cell if "refuses" in cell else float(cell)
    return found


def write_families(by_type: dict[str, list[float]]) -> None:
    """A row a model_type: how many cases, and their |error|."""
    rows = [[name, len(errors), *_summary(errors)] for name, errors in sorted(by_type.items())]
    everything = [error for errors in by_type.values() for error in errors]
    rows.append(["all", len(everything), *_summary(everything)])
    _write(FAMILIES, ["model_type", "cases", "median_percent", "p95_percent", "worst_percent"], rows)
    print(*rows[-1])


def _summary(errors: Iterable[float]) -> list[str]:
    sizes = sorted(map(abs, errors))
    return [f"{value:.3f}" for value in (median(sizes), sizes[-(-95 * len(sizes) // 100) - 1], sizes[-1])]


def _write(path: Path, head: list[str], rows: Iterable[list[Any]]) -> None:
    with path.open("w", newline="") as table:
        csv.writer(table, lineterminator="\n").writerows([head, *rows])


if __name__ == "__main__":
    if sys.argv[1:2] == ["trace"]:
        trace_missing(*map(int, (sys.argv[2] if len(sys.argv) > 2 else "1/1").split("/")))
    else:
        write_families(write_errors())
