"""4-bit quantization by hand: blocks, their largest magnitude, the nearest level, and constants quantized again.

Checked by tests/planner/labs/test_nf4.py: codes, constants and what comes back are bitsandbytes' own in every bit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.labs.levels import Float32, dynamic_levels, fp4_codes, levels
from planner.memory.quantized import BLOCK_4BIT, BLOCK_NESTED

#: Stands for a block of zeros, so that nothing is divided by zero (bitsandbytes 0.50 backends/default/ops.py).
_LEAST = np.float32(1e-38)
#: Places of the table in which bitsandbytes' CPU kernel looks an 8-bit level up.
_PLACES = 2**16


@dataclass(frozen=True, slots=True)
class Quantized:
    """Weights in 4 bits. index: of the level of each weight; absmax: the constant of each block of 64."""

    quant_type: str
    index: NDArray[np.int64]
    absmax: Float32

    @property
    def codes(self) -> NDArray[np.uint8]:
        """The bits that are kept: two weights a byte, the first in the upper half."""
        order = fp4_codes() if self.quant_type == "fp4" else np.arange(16)
        codes = order[self.index].astype(np.uint8)
        padded = np.append(codes, np.uint8(_zero_code(self.quant_type))) if codes.size % 2 else codes
        return ((padded[::2] << 4) | padded[1::2]).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Nested:
    """Constants in 8 bits: their mean apart, and the largest magnitude of each 256 of them."""

    index: NDArray[np.int64]
    absmax: Float32
    offset: np.float32


def quantize(weights: Float32, quant_type: str = "nf4") -> Quantized:
    """Each weight over its block's largest magnitude, then the nearest level; half way between two, the lower."""
    flat = weights.reshape(-1).astype(np.float32)
    absmax = blockwise_absmax(flat, BLOCK_4BIT)
    if flat.size % BLOCK_4BIT:
        absmax[-1] = max(absmax[-1], _LEAST)
    return Quantized(quant_type, nearest(scaled(flat, absmax, BLOCK_4BIT), levels(quant_type)), absmax)


def blockwise_absmax(flat: Float32, block: int) -> Float32:
    """The largest magnitude of each block; the last one may be short."""
    return np.array([np.abs(flat[i : i + block]).max() for i in range(0, flat.size, block)], np.float32)


def scaled(flat: Float32, absmax: Float32, block: int) -> Float32:
    """Weights between -1 and 1: times the reciprocal of their constant; a short last block is divided by it."""
    full = flat.size // block * block
    safe = np.maximum(absmax, _LEAST)
    reciprocal = np.repeat(np.float32(1) / safe[: full // block], block)
    parts = [flat[:full] * reciprocal]
    if full < flat.size:
        parts.append(flat[full:] / safe[-1])
    return np.clip(np.concatenate(parts), np.float32(-1), np.float32(1)).astype(np.float32)


def nearest(values: Float32, table: Float32) -> NDArray[np.int64]:
    """The index of the nearest level, by the middles between two."""
    middles = (table[:-1] + table[1:]) / np.float32(2)
    return np.searchsorted(middles, values, side="left")


def dequantize(found: Quantized, absmax: Float32 | None = None) -> Float32:
    """Level times constant: what every forward and backward pass makes again. absmax: constants in place of its "
    "own."""
    constants = found.absmax if absmax is None else absmax
    return levels(found.quant_type)[found.index] * np.repeat(constants, BLOCK_4BIT)[: found.index.size]


def nest(absmax: Float32, offset: np.float32 | None = None, table: Float32 | None = None) -> Nested:
    """Double quantization: the constants without their mean, in 8 bits, with a constant a 256 of them.

    offset, table: their mean and the 8-bit levels, where another's rounding of these is to be followed.
    """
    mean = np.float32(absmax.astype(np.float64).mean()) if offset is None else offset
    rest = (absmax - mean).astype(np.float32)
    largest = blockwise_absmax(rest, BLOCK_NESTED)
    return Nested(_looked_up(rest, largest, dynamic_levels() if table is None else table), largest, mean)


def _looked_up(rest: Float32, largest: Float32, table: Float32) -> NDArray[np.int64]:
    """The nearest level, read off a table of 65,536 places between -1 and 1; level 0 where all constants are alike.

    Source: bitsandbytes 0.50 libbitsandbytes_cpu (build_quantize_lut), found by comparing.
    """
    nearest_to = nearest(np.linspace(-1, 1, _PLACES).astype(np.float32), table)
    constants = np.repeat(largest, BLOCK_NESTED)[: rest.size]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = rest * (np.float32(1) / constants)
    place = np.floor((np.nan_to_num(between, nan=-1) + np.float32(1)) * np.float32((_PLACES - 1) / 2) + np.float32(0.5))
    found: NDArray[np.int64] = nearest_to[np.clip(place, 0, _PLACES - 1).astype(np.int64)]
    return found


def unnest(found: Nested) -> Float32:
    """The constants again."""
    constants = np.repeat(found.absmax, BLOCK_NESTED)[: found.index.size]
    return dynamic_levels()[found.index] * constants + found.offset


def _zero_code(quant_type: str) -> int:
    """The code of the zero that fills up an odd last byte."""
    index = int(nearest(np.zeros(1, np.float32), levels(quant_type))[0])
    return int(fp4_codes()[index]) if quant_type == "fp4" else index
