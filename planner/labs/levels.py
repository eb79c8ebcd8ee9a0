"""The levels of 4-bit types and of the 8-bit type of their constants, computed as their inventors do.

Checked by tests/planner/labs/test_nf4.py: the 4-bit tables are bitsandbytes' own in every bit; its 8-bit table is made
by torch.linspace, whose last bit depends on the processor's vectors.
"""

from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

#: Where the outermost quantile of NF4 lies (bitsandbytes 0.50 functional.py get_4bit_type: create_normal_map).
NF4_OFFSET = 0.9677083
TYPES = ("nf4", "fp4", "int4")


@cache
def levels(quant_type: str) -> Float32:
    """The values that 4 bits stand for, in ascending order, the largest 1."""
    return {"nf4": _nf4, "fp4": _fp4, "int4": _int4}[quant_type]()


def _nf4() -> Float32:
    """Quantiles of the standard normal distribution, eight above zero, seven below, and zero itself, over the "
    "largest.

    Dettmers et al. 2023 (QLoRA), section 3 and appendix E: an even number of levels with an exact zero.
    """
    inverse = NormalDist().inv_cdf
    above = [inverse(float(p)) for p in _linspace(NF4_OFFSET, 0.5, 9)[:-1]]
    below = [-inverse(float(p)) for p in _linspace(NF4_OFFSET, 0.5, 8)[:-1]]
    values = np.array(sorted([*above, 0.0, *below]), np.float32)
    return _over_largest(values)


def _over_largest(values: Float32) -> Float32:
    scaled: Float32 = values / values.max()
    return scaled


def _linspace(start: float, end: float, count: int) -> Float32:
    """Evenly spaced in float32, stepped from both ends to the middle as torch.linspace does."""
    first, last, index = np.float32(start), np.float32(end), np.arange(count)
    step = (last - first) / np.float32(count - 1)
    rising, falling = first + step * index.astype(np.float32), last - step * (count - 1 - index).astype(np.float32)
    return np.where(index < count // 2, rising, falling).astype(np.float32)


def _fp4() -> Float32:
    """A sign, two bits of exponent and one of mantissa, over the largest; zero stands there twice."""
    positive = [_fp4_value(code) for code in range(8)]
    values = np.array(sorted([*positive, *(-v for v in positive)]), np.float32)
    return _over_largest(values)


def _fp4_value(code: int) -> float:
    """bitsandbytes' reading of three bits: 0 and 0.0625 without a leading one, then 2**(3 - exponent) x 1 or 1.5."""
    exponent, mantissa = code >> 1, code & 1
    if not exponent:
        return 0.0625 * mantissa
    return float(2 ** _FP4_EXPONENTS[exponent]) * (1 + mantissa / 2)


#: Powers of two of the three exponents that are not zero, in the order of bitsandbytes' table (8, 4, 2).
_FP4_EXPONENTS = {1: 3, 2: 2, 3: 1}


def _int4() -> Float32:
    """Whole numbers from -7 to 7, over 7: evenly spaced, zero among them."""
    return np.arange(-7, 8).astype(np.float32) / np.float32(7)


def fp4_codes() -> NDArray[np.int64]:
    """bitsandbytes' code of each level of fp4, ascending: its table is in the order of bits, not of values."""
    positive = [_fp4_value(code) for code in range(8)]
    table = np.array([*positive, *(-v for v in positive)])
    return np.argsort(table, kind="stable")


@cache
def dynamic_levels() -> Float32:
    """The 8-bit type of the nested constants: a fraction whose bits shrink as its decimal exponent falls.

    Dettmers et al. 2022 (8-bit Optimizers via Block-wise Quantization), section 2; bitsandbytes 0.50 functional.py
    create_dynamic_map.
    """
    values: list[float] = []
    exponents = 7
    for i in range(exponents):
        edges = np.linspace(0.1, 1, 2**i + 1)
        means = 10.0 ** (i - exponents + 1) * (edges[:-1] + edges[1:]) / 2
        values += [*means, *-means]
    return np.sort(np.array([*values, 0.0, 1.0], np.float32))
