"""What the NF4 laboratory shows: a block of weights, its codes in three 4-bit types, their errors, and what is "
"kept."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from planner.labs.levels import TYPES, Float32
from planner.labs.nf4 import Quantized, dequantize, nest, quantize, unnest
from planner.memory.quantized import BLOCK_4BIT, BLOCK_NESTED

Kind = Literal["normal", "uniform", "normal with an outlier", "constant", "zero"]
KINDS: tuple[Kind, ...] = ("normal", "uniform", "normal with an outlier", "constant", "zero")
#: As in trained layers, roughly; what it is does not matter, as every block is scaled.
_SPREAD = 0.02
#: Blocks of the tensor around the block that is shown: double quantization works on 256 constants together.
NUM_BLOCKS = BLOCK_NESTED


@dataclass(frozen=True, slots=True)
class Errors:
    """Of one type over the whole tensor: root mean square and largest, as shares of the weights' own root mean "
    "square."""

    name: str
    rms: float
    largest: float


@dataclass(frozen=True, slots=True)
class Lesson:
    """weights: of the block shown; shown: it in each type; nested_constant: its constant after double "
    "quantization."""

    weights: Float32
    shown: dict[str, Quantized]
    nested_constant: float
    errors: tuple[Errors, ...]


def tensor(kind: Kind, seed: int, outlier: float) -> Float32:
    """256 blocks of 64 weights. outlier: how many times the spread one weight of the first block is."""
    rng = np.random.default_rng(seed)
    size = BLOCK_4BIT * NUM_BLOCKS
    if kind == "zero":
        return np.zeros(size, np.float32)
    if kind == "constant":
        return np.full(size, _SPREAD, np.float32)
    if kind == "uniform":
        return rng.uniform(-2 * _SPREAD, 2 * _SPREAD, size).astype(np.float32)
    weights = rng.normal(0, _SPREAD, size).astype(np.float32)
    if kind == "normal with an outlier":
        weights[BLOCK_4BIT // 2] = np.float32(outlier * _SPREAD)
    return weights


def lesson(kind: Kind, seed: int, outlier: float) -> Lesson:
    """All of it for one tensor."""
    weights = tensor(kind, seed, outlier)
    found = {name: quantize(weights, name) for name in TYPES}
    nested = unnest(nest(found["nf4"].absmax))
    errors = [_errors(name, weights, dequantize(q)) for name, q in found.items()]
    errors.append(_errors("nf4, double quantization", weights, dequantize(found["nf4"], nested)))
    block = slice(0, BLOCK_4BIT)
    return Lesson(
        weights=weights[block],
        shown={name: Quantized(name, q.index[block], q.absmax[:1]) for name, q in found.items()},
        nested_constant=float(nested[0]),
        errors=tuple(errors),
    )


def _errors(name: str, weights: Float32, back: Float32) -> Errors:
    off, own = back - weights, float(np.sqrt(np.square(weights).mean()))
    if not own:
        return Errors(name, 0.0, 0.0)
    return Errors(name, float(np.sqrt(np.square(off).mean())) / own, float(np.abs(off).max()) / own)
