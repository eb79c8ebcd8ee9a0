"""A stretch of a table's rows, column by column: arrays, so that a million rows cost as much as their numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

#: Digits that a figure is given with: more than any estimate has, few enough to read.
SIGNIFICANT = 6


@dataclass(frozen=True, slots=True)
class Texts:
    """Few texts, many rows: which text each row has. None is an empty cell."""

    names: tuple[str | None, ...]
    codes: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Block:
    """Columns by name, all of the same number of rows. NaN is an empty cell of a number."""

    num_rows: int
    columns: dict[str, Numbers | Texts]

    def numbers(self, name: str) -> Numbers:
        """A column of numbers."""
        values = self.columns[name]
        assert isinstance(values, np.ndarray)
        return values

    def texts(self, name: str) -> Texts:
        """A column of texts."""
        values = self.columns[name]
        assert isinstance(values, Texts)
        return values

    def value(self, name: str, row: int) -> str | float | None:
        """One cell, None where it is empty."""
        found = self.columns[name]
        if isinstance(found, Texts):
            return found.names[int(found.codes[row])]
        number = float(found[row])
        return None if number != number else number

    def values(self, name: str) -> list[str | float | None]:
        """A column as Python values, None where a cell is empty."""
        found = self.columns[name]
        if isinstance(found, Texts):
            names = found.names
            return [names[code] for code in found.codes.tolist()]
        return [None if value != value else value for value in found.tolist()]


def joined(blocks: Sequence[Block]) -> Block:
    """Blocks of the same columns, one after the other."""
    columns: dict[str, Numbers | Texts] = {}
    for name, first in blocks[0].columns.items():
        if isinstance(first, Texts):
            columns[name] = _joined_texts([block.texts(name) for block in blocks])
        else:
            columns[name] = np.concatenate([block.numbers(name) for block in blocks])
    return Block(sum(block.num_rows for block in blocks), columns)


def _joined_texts(found: Sequence[Texts]) -> Texts:
    places: dict[str | None, int] = {}
    codes = [np.array([places.setdefault(name, len(places)) for name in one.names])[one.codes] for one in found]
    return Texts(tuple(places), np.concatenate(codes))


def texts(values: Sequence[str | None], codes: NDArray[np.intp]) -> Texts:
    """Rows of these texts."""
    return Texts(tuple(values), codes.reshape(-1))


def rounded(values: NDArray[np.float64]) -> Numbers:
    """To six significant digits, flat."""
    flat = np.asarray(values, np.float64).reshape(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = SIGNIFICANT - 1 - np.floor(np.log10(np.abs(flat)))
    digits = np.where(np.isfinite(digits), digits, 0).astype(np.int64)
    up, down = 10.0 ** np.maximum(digits, 0), 10.0 ** np.maximum(-digits, 0)
    near: Numbers = np.round(flat * up / down) * down / up
    return near


def numbers(values: NDArray[np.float64] | NDArray[np.int64]) -> Numbers:
    """Whole numbers as they are, flat."""
    return np.asarray(values, np.float64).reshape(-1)
