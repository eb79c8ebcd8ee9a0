"""The Sweep page's questions: from the inputs to a table, a grid of batches and lengths, and a search. No streamlit."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.catalog.names import shown
from planner.cost.rate import SECONDS_PER_HOUR
from planner.errors import RequestError
from planner.schema import METHODS, PlanRequest
from planner.sweep.axes import Axes, axes_of
from planner.sweep.block import Block, joined
from planner.sweep.goal import BATCHES, COUNTS, Goal
from planner.sweep.pareto import front
from planner.sweep.rows import blocks
from planner.sweep.search import OUTCOMES, Search
from planner.sweep.settle import Fields
from ui import money_text as words
from ui.links import flag
from ui.names import check_card
from ui.state import leaves

#: Rows that the page computes; more are the command line's.
MAX_ROWS = 20_000
#: Fields that the table's axes stand for.
_AXES = ("id", "model", "method", "gpu", "num_gpus", "max_length", "per_device_train_batch_size")
#: Lengths and batches of the grid, beside the question's own.
GRID_LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
GRID_BATCHES = (1, 2, 4, 8, 16, 32)
#: Cards to begin with: one of each size that people rent.
FIRST_GPUS = ("rtx-4090", "l40s", "a100-80gb-sxm", "h100-sxm", "h200-sxm")
#: What a search counts hours and USD for, where no dataset is given.
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """What the page's own inputs hold, beside the question in the sidebar."""

    models: tuple[str, ...] = ()
    methods: tuple[str, ...] = METHODS
    gpus: tuple[str, ...] = FIRST_GPUS
    counts: tuple[str, ...] = ("1", "2", "4", "8")
    lengths: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()


def table_axes(request: PlanRequest, choice: Choice) -> Axes:
    """The table: the question's model, card, length and batch with those chosen besides.

    Raises PlannerError for a name or number that cannot be, or more rows than a page takes.
    """
    for gpu in choice.gpus:
        check_card(gpu)
    axes = axes_of(
        base_of(request, sharing=True),
        [_model(request), *choice.models],
        choice.methods or (request.method,),
        [*([] if request.gpu is None else [request.gpu]), *choice.gpus],
        _sizes("number of GPUs", choice.counts) or (request.num_gpus,),
        (request.max_length, *_sizes("length", choice.lengths)),
        (request.per_device_train_batch_size, *_sizes("batch size", choice.batches)),
    )
    if axes.num_rows > MAX_ROWS:
        raise RequestError(
            f"{axes.num_rows:,} rows are more than the page shows ({MAX_ROWS:,}): choose fewer models, cards or "
            "lengths, or write the file on the command line: tunebudget table"
        )
    return axes


def grid_axes(request: PlanRequest) -> Axes:
    """The question itself over batches and lengths."""
    lengths = sorted({*GRID_LENGTHS, request.max_length})
    batches = sorted({*GRID_BATCHES, request.per_device_train_batch_size})
    gpus = [] if request.gpu is None else [request.gpu]
    return axes_of(
        base_of(request, sharing=True), [_model(request)], [request.method], gpus, [request.num_gpus], lengths, batches
    )


def goal_of(request: PlanRequest, choice: Choice, deadline_hours: float | None, budget_usd: float | None) -> Goal:
    """A search for the question's model over the methods chosen and every rented card; settings that are open vary."""
    base = base_of(request)
    base.setdefault("dataset", {"num_tokens": MILLION})
    axes = axes_of(base, [_model(request)], choice.methods, (), COUNTS, [request.max_length], BATCHES)
    return Goal(axes, deadline_hours or None, budget_usd or None)


def base_of(request: PlanRequest, sharing: bool = False) -> Fields:
    """The question's settings without what the axes stand for. sharing: as its own number of cards is shared."""
    fields = request.model_dump(mode="json", exclude_unset=True, exclude=set(_AXES))
    if not sharing:
        for name in ("parallelism", "num_nodes"):
            fields.pop(name, None)
    return fields


def _model(request: PlanRequest) -> str:
    if not isinstance(request.model, str):
        raise RequestError("model: tables are of models of the catalogue or the Hub: choose one in the sidebar")
    return request.model


def _sizes(what: str, values: Sequence[str]) -> tuple[int, ...]:
    for value in values:
        if not value.strip().isdecimal():
            raise RequestError(f"{what} {shown(value)}: give a whole number of at least 1")
    return tuple(int(value) for value in values)


def table_of(axes: Axes) -> Block:
    """All rows at once: a page has few enough."""
    return joined(list(blocks(axes)))


@dataclass(frozen=True, slots=True)
class Options:
    """Feasible options of time and money. front: places of those that no other beats, the fastest first.

    of: what hours and USD are of; NaN where an option is not feasible.
    """

    names: tuple[str, ...]
    hours: NDArray[np.float64]
    usd: NDArray[np.float64]
    front: tuple[int, ...]
    of: str


def rows_as_options(table: Block, has_dataset: bool) -> Options:
    """The rows that fit: of the dataset, or of a million tokens where there is none."""
    if has_dataset:
        hours, usd = table.numbers("train_hours"), table.numbers("cost_usd")
    else:
        hours = MILLION / table.numbers("tokens_per_second") / SECONDS_PER_HOUR
        usd = table.numbers("usd_per_million_tokens")
    verdict = table.texts("verdict")
    fits = np.array([name == "fits" for name in verdict.names])[verdict.codes]
    hours, usd = (np.where(fits, values, np.nan) for values in (hours, usd))
    found = tuple(int(place) for place in front(hours, usd))
    return Options(_names(table), hours, usd, found, _of(has_dataset))


def search_as_options(found: Search, has_dataset: bool) -> Options:
    """The feasible options of a search, of each card, number and method the cheapest; and its front."""
    feasible = np.isin(found.outcome, [OUTCOMES.index("dominated"), OUTCOMES.index("on the front")])
    usd = np.where(feasible, found.options.numbers("cost_usd"), np.nan)
    codes = [found.options.texts(name).codes for name in ("gpu", "method")]
    keys = np.stack([*codes, found.options.numbers("num_gpus").astype(np.intp)])
    order = np.argsort(usd, kind="stable")
    shown = np.zeros(len(usd), np.bool_)
    shown[order[np.unique(keys[:, order], axis=1, return_index=True)[1]]] = True
    shown[found.front] = True
    hours = np.where(feasible & shown, found.options.numbers("train_hours"), np.nan)
    return Options(_names(found.options), hours, usd, tuple(int(p) for p in found.front), _of(has_dataset))


def _of(has_dataset: bool) -> str:
    return "the dataset" if has_dataset else "a million tokens"


def _names(table: Block) -> tuple[str, ...]:
    """What an option is called: model where there are several, method, cards."""
    models = table.values("model") if len(table.texts("model").names) > 1 else None
    parts = zip(*(table.values(name) for name in ("method", "num_gpus", "gpu")), strict=True)
    named = [f"{method}, {int(float(count or 0))} x {gpu}" for method, count, gpu in parts]
    if models is None:
        return tuple(named)
    return tuple(f"{str(model).rpartition('/')[2]}, {name}" for model, name in zip(models, named, strict=True))


def cli_command(axes: Axes, *flags: str) -> str:
    """The command that writes the same table."""
    words = ["tunebudget", "table", "--models", ",".join(axes.models), "--methods", ",".join(axes.methods)]
    words += ["--gpus", ",".join(gpu.key for gpu in axes.gpus), "--num-gpus", _listed(axes.counts)]
    words += ["--lengths", _listed(axes.lengths), "--batch-sizes", _listed(axes.batches)]
    for path, value in leaves(axes.base):
        words += flag(path, value)
    return shlex.join([*words, *flags])


def _listed(values: Sequence[int]) -> str:
    return ",".join(map(str, values))


def headline(found: Search, options: Options) -> str:
    """The cheapest and the fastest plan in a sentence."""
    if found.cheapest is None or found.fastest is None:
        return "no option fits within these limits; what comes nearest on each card stands below"
    said = [
        f"{word}: {options.names[place]}, {words.hours(options.hours[place])}, {words.usd(options.usd[place])}"
        for word, place in (("the cheapest plan", found.cheapest), ("the fastest", found.fastest))
    ]
    return f"{'; '.join(said)} ({options.of}, estimated)"
