"""Traces at a few sizes, fitted: bytes live at every place of a step as a polynomial in batch and length.

For fixed settings every tensor of a step has a size that is a product of B, S and constants, so what is live at a
place is a combination of 1, B, S, BS, S^2 and BS^2 (the squares: eager attention's scores, masks).  Traces at a grid
of two batches and three lengths give the six coefficients exactly; one more, at a size of its own, tells whether the
step is of that kind (planner/traced.py looks).  The peak is not fitted: it is the largest of the places at a size.
Leaves out: steps whose code changes with the size (a window that is passed, a chunk that is padded); who chooses the
sizes keeps to one side of these.
Checked by: tests/profiler/test_fit.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.schema import PlanRequest
from profiler.build import bare_model, build_model, check_supported, trainable_parameters
from profiler.categories import CATEGORIES
from profiler.configs import build_config, num_layers_of
from profiler.extrapolate import Live, deep_places, read_slice
from profiler.places import PHASES, Place
from profiler.series import Key
from profiler.slices import Slices, find_slices
from profiler.trace import Say, trace_config


@dataclass(frozen=True, slots=True)
class Sizes:
    """A grid to trace: batches (two, or one where B is always it), three lengths evenly apart, and one size more."""

    batches: tuple[int, ...]
    lengths: tuple[int, int, int]
    held_out: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Model:
    """What is traced at every size: the whole config, or its slices."""

    request: PlanRequest
    slices: Slices | None
    notes: tuple[str, ...]


Places = dict[Place | Key, Live]


def fit(request: PlanRequest, sizes: Sizes, say: Say = lambda *_: None) -> dict[str, Any]:
    """Coefficients of each phase's highest places, the highest of the held-out trace, and counts of parameters.

    Raises RequestError where the step cannot be traced.
    """
    config = build_config(request)
    model = Model(request, find_slices(request, config), check_supported(request, config, traced=True))
    grid = [(batch, length) for batch in sizes.batches for length in sizes.lengths]
    traced = []
    for number, size in enumerate((*grid, sizes.held_out)):
        say(number, len(grid) + 1, f"tracing {size[0]} x {size[1]} tokens")
        traced.append(_at(model, *size))
    places = [place for place in traced[0] if all(place in other for other in traced)]
    values = np.stack([[found[place] for place in places] for found in traced[:-1]])
    held_out = {place: traced[-1][place] for place in places}
    return {
        **_phases(_solve(values, sizes), places),
        "held_out": {"size": list(sizes.held_out), "phases": _highest(held_out)},
        "categories": list(CATEGORIES),
        "notes": list(model.notes),
        **_parameters(model.request),
    }


def _at(model: Model, batch: int, length: int) -> Places:
    """What is live at every place, and before and between the steps, at one size."""
    update = {"per_device_train_batch_size": batch, "max_length": length}
    request, slices = model.request.model_copy(update=update), model.slices
    if slices is None:
        config = build_config(request)
        whole = read_slice(trace_config(request, config, ()), num_layers_of(config), 0)
        return {**whole.live, **_around(whole.rows)}
    small, large = (
        read_slice(trace_config(request, build_config(request, depth), ()), depth, slices.period)
        for depth in (slices.small, slices.large)
    )
    low, high = _around(small.rows), _around(large.rows)
    around = {key: row + (high[key] - row) * slices.num_periods for key, row in low.items()}
    return {**deep_places(small, large, slices), **around}


def _around(rows: Mapping[Key, Live]) -> dict[Place | Key, Live]:
    return {key: row for key, row in rows.items() if key.phase in ("loaded", "between_steps")}


def _solve(values: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Coefficients (twice their value, so that they are whole) of 1, t, t^2 and, with two batches, b, bt, bt^2.

    values: a row of places and categories for each size of the grid.  t counts lengths in steps of the grid from one
    step before its first, b batches in steps from one before its first: both are 1, 2, ... on the grid.
    """
    lagrange = np.array([[6, -6, 2], [-5, 8, -3], [1, -2, 1]])  # twice the inverse of [1, t, t^2] at t = 1, 2, 3
    by_batch = values.reshape(len(sizes.batches), 3, *values.shape[1:])
    in_length = np.einsum("ij,bj...->bi...", lagrange, by_batch)
    if len(sizes.batches) == 1:
        return in_length[0]
    first, second = in_length
    return np.concatenate([2 * first - second, second - first])


def _phases(coefficients: np.ndarray, places: list[Any]) -> dict[str, Any]:
    """Each phase's coefficients: of each power, of each place that can be the highest, by category."""
    phases = {}
    for phase in PHASES:
        chosen = [index for index, place in enumerate(places) if place.phase == phase]
        if chosen:
            phases[phase] = _undominated(coefficients[:, chosen]).tolist()
    return {"phases": phases}


def _highest(live: Places) -> dict[str, int]:
    highest: dict[str, int] = {}
    for place, row in live.items():
        highest[place.phase] = max(highest.get(place.phase, 0), int(row.sum()))
    return highest


def _undominated(coefficients: np.ndarray) -> np.ndarray:
    """The places that can be the highest: none other has as much or more in every coefficient.

    Whatever the size: b and t are never negative (planner/trace_sizes.py).
    """
    candidates = np.unique(coefficients.transpose(1, 0, 2), axis=0)
    totals = candidates.sum(axis=2)
    keep = [not ((totals >= one).all(axis=1) & (totals > one).any(axis=1)).any() for one in totals]
    _, first = np.unique(totals[keep], axis=0, return_index=True)
    return candidates[keep][first].astype(np.int64)


def _parameters(request: PlanRequest) -> dict[str, int]:
    """Counts of parameters as they are before quantization, and the bytes of the trained ones as saved."""
    config = build_config(request)
    base = sum(parameter.numel() for parameter in bare_model(config).parameters())
    trained = trainable_parameters(build_model(request, config, device="meta"))
    counts = sum(parameter.numel() for parameter in trained)
    return {
        "base_params": base,
        "trainable_params": counts,
        "total_params": base + (0 if request.method == "full" else counts),
        "trained_bytes": sum(parameter.numel() * parameter.element_size() for parameter in trained),
    }
