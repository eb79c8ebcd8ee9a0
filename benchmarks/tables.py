"""What a plan costs among many: plans over arrays, rows of a table, and whole files, from a thousand rows to a million.

python -m benchmarks.tables
"""

import resource
import sys
import tempfile
from collections.abc import Callable, Iterator
from os import cpu_count, getloadavg
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from benchmarks.planner import SWEPT
from planner.grid import on_cards, tensors
from planner.grid_cost import costs
from planner.grid_time import times
from planner.schema import METHODS
from planner.sweep.axes import Axes, axes_of
from planner.sweep.columns import COLUMNS
from planner.sweep.figures import Offers
from planner.sweep.notes import notes
from planner.sweep.rows import blocks
from planner.sweep.settle import settled
from planner.sweep.writers import Sheet
from planner.sweep.writing import write_file

BASE = {"gradient_checkpointing": True, "dataset": {"num_tokens": 10**8}}
COUNTS = (1, 2, 4, 8)
NUM_CARDS = 25
#: (models, numbers of cards, lengths, batches) of each size: 3 methods and 25 cards besides.
SIZES = {1_200: (1, 1, 4, 4), 10_800: (3, 1, 6, 8), 105_000: (10, 2, 14, 5), 1_008_000: (10, 4, 28, 12)}
REPEATS = 3


def main() -> None:
    """Print every figure."""
    print(f"{cpu_count()} processors, load {getloadavg()[0]:.1f}; seconds are the least of {REPEATS} (CPU seconds)")
    for num_rows, sizes in SIZES.items():
        axes = _axes(*sizes)
        assert axes.num_rows == num_rows
        cold = _timed(lambda axes=axes: _plans(axes))
        print(f"{num_rows:>9,} plans: {_said(_least(lambda axes=axes: _plans(axes)), num_rows)}; first {cold[0]:.2f} s")
        print(f"{num_rows:>9,} rows:  {_said(_least(lambda axes=axes: _rows(axes)), num_rows)}")
    for ending in ("parquet", "csv", "xlsx"):
        print(f"{num_rows:>9,} rows as {ending}: {_said(_least(lambda end=ending: _file(axes, end)), num_rows)}")
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB resident")


def _axes(num_models: int, num_counts: int, num_lengths: int, num_batches: int) -> Axes:
    cards = [gpu.key for gpu in axes_of(BASE, ["gpt2"]).gpus][:NUM_CARDS]
    lengths, batches = (range(step, step * number + 1, step) for step, number in ((32, num_lengths), (1, num_batches)))
    return axes_of(BASE, SWEPT[:num_models], METHODS, cards, COUNTS[:num_counts], lengths, batches)


def _plans(axes: Axes) -> float:
    """Memory, verdict, time and cost of every plan; the sum of the costs, so that none is left out."""
    lengths, batches = (axis.reshape(-1) for axis in np.meshgrid(axes.lengths, axes.batches))
    total, offers = 0.0, Offers()
    for model, method, count in _combinations(axes):
        request = settled(axes.base, model, method, count)
        plans = tensors(request, batches, lengths)
        cards = on_cards(plans, axes.gpus)
        found = costs(request.dataset, times(plans, cards, axes.gpus), [offers.rate(request, gpu) for gpu in axes.gpus])
        total += float(np.nansum(found.cost_usd[cards.verdict < 2]))
    return total


def _combinations(axes: Axes) -> Iterator[tuple[str, str, int]]:
    return ((model, method, count) for model in axes.models for method in axes.methods for count in axes.counts)


def _rows(axes: Axes) -> int:
    return sum(block.num_rows for block in blocks(axes))


def _file(axes: Axes, ending: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        path, sheet = Path(folder) / f"table.{ending}", Sheet(COLUMNS, notes(axes))
        return write_file(path, blocks(axes), sheet, axes.num_rows, lambda: False, lambda rows: None).rows


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    start, used = perf_counter(), process_time()
    run()
    return perf_counter() - start, process_time() - used


def _least(run: Callable[[], object]) -> tuple[float, float]:
    return min(_timed(run) for _ in range(REPEATS))


def _said(seconds: tuple[float, float], num_rows: int) -> str:
    wall, used = seconds
    return f"{wall:6.2f} s ({used:.2f}), {wall / num_rows * 1e6:7.2f} us a row"


if __name__ == "__main__":
    sys.exit(main())
