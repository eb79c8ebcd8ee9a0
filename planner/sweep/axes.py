"""The axes of a table: what is combined with what, and what all rows share. Every name is looked up here, once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from planner.catalog import find_gpu, list_gpus, list_models
from planner.catalog.prices import list_prices
from planner.catalog.rows.gpu import GpuRow
from planner.errors import PlannerError, RequestError
from planner.resolve import load_model
from planner.schema import METHODS, Method, parse_request
from planner.sweep.settle import Fields, settled

ALL = "all"


@dataclass(frozen=True, slots=True)
class Axes:
    """base: the request's fields that every row shares. models: as the request names them -> as they are shown.

    counts: num_gpus; batches: per_device_train_batch_size.
    """

    base: Fields
    models: dict[str, str]
    methods: tuple[Method, ...]
    gpus: tuple[GpuRow, ...]
    counts: tuple[int, ...] = (1,)
    lengths: tuple[int, ...] = (1024,)
    batches: tuple[int, ...] = (1,)

    @property
    def num_rows(self) -> int:
        """Rows of the whole table."""
        cells = len(self.counts) * len(self.lengths) * len(self.batches)
        return len(self.models) * len(self.methods) * len(self.gpus) * cells


def axes_of(
    base: Fields,
    models: Sequence[str],
    methods: Sequence[str] = (),
    gpus: Sequence[str] = (),
    counts: Sequence[int] = (),
    lengths: Sequence[int] = (),
    batches: Sequence[int] = (),
) -> Axes:
    """The axes of these names and sizes; an empty one is as in the answer to a request that leaves it open.

    Models and gpus: "all" stands for the whole catalogue; no gpus for every card that is offered for rent.
    Raises PlannerError, naming the field, for a name that is unknown, a size out of bounds, or settings that no method
    takes.
    """
    if not models:
        raise RequestError("--models is missing: name models of the catalogue, or all", "models")
    cards = [find_gpu(name) for name in gpus] if tuple(gpus) != (ALL,) else list_gpus()
    found = Axes(
        base,
        _named(models if tuple(models) != (ALL,) else [row.id for row in list_models()]),
        _once(cast(Sequence[Method], methods) or METHODS),
        _once(cards or _rented()),
        _once(counts) or (1,),
        _once(lengths) or (1024,),
        _once(batches) or (1,),
    )
    _check(found)
    return found


def _once(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))


def _named(models: Sequence[str]) -> dict[str, str]:
    """Each model once, by its id in the catalogue where it has one."""
    names = {model: load_model(parse_request({"model": model, "method": "lora"})).name for model in models}
    return {model: name for name, model in {name: model for model, name in names.items()}.items()}


def _rented() -> list[GpuRow]:
    offered = {row.gpu_key for row in list_prices(pricing="on_demand") if not row.is_indicative}
    return [gpu for gpu in list_gpus() if gpu.key in offered]


def _check(axes: Axes) -> None:
    model = next(iter(axes.models))
    sizes = {"max_length": axes.lengths, "per_device_train_batch_size": axes.batches, "num_gpus": axes.counts}
    for name, values in sizes.items():
        for value in (min(values), max(values)):
            parse_request({"model": model, "method": "lora", name: value} | _spread(name, value))
    for method in axes.methods:
        parse_request({"model": model, "method": method})
    _one_settles(axes)


def _spread(name: str, value: int) -> Fields:
    return {"parallelism": {"strategy": "ddp"}} if name == "num_gpus" and value > 1 else {}


def _one_settles(axes: Axes) -> None:
    """Settings that no combination takes are refused at once, not row by row."""
    refused: list[PlannerError] = []
    for method in axes.methods:
        for count in axes.counts:
            try:
                settled(axes.base, next(iter(axes.models)), method, count)
            except PlannerError as error:
                refused.append(error)
            else:
                return
    raise refused[0]
