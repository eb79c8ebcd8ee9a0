"""The rows of a table, a stretch at a time: computed by columns, in bounded memory however long the table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.catalog.rows.gpu import GpuRow
from planner.grid import on_cards
from planner.sweep.axes import Axes
from planner.sweep.block import Block, Numbers, Texts, numbers, rounded, texts
from planner.sweep.columns import COLUMNS
from planner.sweep.figures import Columns, Figures, Offers, Shape
from planner.sweep.needed import fewest
from planner.sweep.planned import Cells, Planned, faulty, plan_cells
from planner.units import GIB

#: Rows of one block at most, but for what one card has of a stretch of cells.
BLOCK_ROWS = 2**17


def blocks(axes: Axes, needed: bool = True) -> Iterator[Block]:
    """All rows, in the order of the axes: by model, method, card, count, length and batch.

    needed: with the column gpus_needed, for which other numbers of cards are planned too; it is empty otherwise.
    Where one card alone has more than BLOCK_ROWS rows of a model and method, its lengths and batches come in stretches,
    each for all cards.
    """
    offers = Offers()
    for model in axes.models:
        for method in axes.methods:
            for cells in _stretches(axes):
                group = _Group(axes, model, method, cells, offers)
                size = max(BLOCK_ROWS // (len(axes.counts) * len(cells)), 1)
                for start in range(0, len(axes.gpus), size):
                    yield group.block(axes.gpus[start : start + size], needed)


def _stretches(axes: Axes) -> Iterator[Cells]:
    lengths, batches = np.array(axes.lengths, np.int64), np.array(axes.batches, np.int64)
    every = Cells(np.repeat(lengths, len(batches)), np.tile(batches, len(lengths)))
    size = max(BLOCK_ROWS // len(axes.counts), 1)
    return (every.taken(slice(start, start + size)) for start in range(0, len(every), size))


@dataclass(slots=True)
class _Group:
    """What the rows of one model, method and stretch of cells have in common, whatever their card.

    A fault of the program in one of them becomes a refusal, as in a stream of plans, and the table goes on.
    """

    axes: Axes
    model: str
    method: str
    cells: Cells
    offers: Offers
    _planned: dict[int, Planned] = field(default_factory=dict)

    def planned(self, count: int) -> Planned:
        """The plans on so many cards."""
        if count not in self._planned:
            try:
                self._planned[count] = plan_cells(self.axes.base, self.model, self.method, count, self.cells)
            except Exception as error:
                self._planned[count] = faulty(self.cells, error)
        return self._planned[count]

    def block(self, gpus: Sequence[GpuRow], needed: bool) -> Block:
        """The rows on these cards."""
        counts = self.axes.counts
        shape = (len(gpus), len(counts), len(self.cells))
        columns = self._axes_columns(gpus, shape) | self._figures(gpus, shape) | self._texts(shape)
        columns["gpus_needed"] = self._needed(gpus, shape) if needed else numbers(_spread(np.array(np.nan), shape))
        return Block(int(np.prod(shape)), {column.name: columns[column.name] for column in COLUMNS})

    def _axes_columns(self, gpus: Sequence[GpuRow], shape: Shape) -> Columns:
        counts = np.array(self.axes.counts)[:, None]
        usable = np.array([gpu.usable_bytes for gpu in gpus])[:, None, None]
        return {
            "model": _same(self.axes.models[self.model], shape),
            "method": _same(self.method, shape),
            "gpu": texts([gpu.key for gpu in gpus], _spread(np.arange(len(gpus))[:, None, None], shape)),
            "num_gpus": numbers(_spread(counts, shape)),
            "max_length": numbers(_spread(self.cells.lengths, shape)),
            "per_device_train_batch_size": numbers(_spread(self.cells.batches, shape)),
            "usable_gib": rounded(_spread(usable / GIB, shape)),
        }

    def _figures(self, gpus: Sequence[GpuRow], shape: Shape) -> Columns:
        figures = Figures(gpus, shape, self.offers)
        for number, count in enumerate(self.axes.counts):
            try:
                figures.fill(number, self.planned(count))
            except Exception as error:
                self._planned[count] = faulty(self.cells, error)
        return figures.columns()

    def _needed(self, gpus: Sequence[GpuRow], shape: Shape) -> Numbers:
        """The fewest cards of each kind, whatever number the row has."""

        def fits(count: int) -> NDArray[np.bool_]:
            planned = self.planned(count)
            found = np.zeros((len(gpus), len(self.cells)), np.bool_)
            if planned.plans is not None:
                found[:, planned.allowed] = on_cards(planned.plans, gpus).verdict == 0
            return found

        return numbers(_spread(fewest(fits, (len(gpus), len(self.cells)))[:, None, :], shape))

    def _texts(self, shape: Shape) -> Columns:
        """What depends on the number of cards, and of a refusal on the length."""
        strategies = [self._strategy(count) for count in self.axes.counts]
        reasons: list[str | None] = [None]
        codes = np.zeros(shape[1:], np.intp)
        for number, count in enumerate(self.axes.counts):
            planned = self.planned(count)
            codes[number] = np.where(planned.codes > 0, planned.codes + len(reasons) - 1, 0)
            reasons += planned.reasons[1:]
        return {
            "strategy": texts(strategies, _spread(np.arange(len(strategies))[:, None], shape)),
            "refused": texts(reasons, _spread(codes, shape)),
        }

    def _strategy(self, count: int) -> str | None:
        request = self.planned(count).request
        return None if request is None else request.parallelism.strategy


def _spread(values: NDArray[Any], shape: Shape) -> NDArray[Any]:
    return np.broadcast_to(values, shape)


def _same(text: str, shape: Shape) -> Texts:
    return texts((text,), np.zeros(shape, np.intp))
