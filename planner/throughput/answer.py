"""A step's time as it is answered: low, expected and high, and the parts that the expected time is made of."""

from dataclasses import dataclass
from typing import NamedTuple

from planner.memory.dims import Number


class Part(NamedTuple):
    """One share of a step's time; shares sum to the whole."""

    name: str
    seconds: Number
    formula: str
    source: str


@dataclass(frozen=True, slots=True)
class StepTime:
    """One optimizer step on all devices, in seconds.

    flops: of all devices, as torch.utils.flop_counter counts. mfu counts what the method needs, hfu what is recomputed
    besides; both of the card's dense 16-bit rate.
    """

    low_seconds: Number
    expected_seconds: Number
    high_seconds: Number
    parts: tuple[Part, ...]
    tokens_per_second: Number
    flops: Number
    mfu: Number
    hfu: Number
