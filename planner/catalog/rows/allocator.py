"""The rows of data/allocator.csv: what the caching allocator reserves, fitted to replays of its own rules."""

from datetime import date
from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt

from planner.catalog.rows import Row, Text

#: In the place of a loss: all of them together.
ANY = "any"


class AllocatorRow(Row):
    """A kind of step and its coefficients, in the order of planner/memory/reserved.py Blocks.parts.

    median_error, p90_error: of the closed form against the replays, those of the half that was not fitted to.
    """

    segments: Literal["fixed", "expandable"]
    training: Literal["full", "adapters"]
    checkpointing: Literal["none", "non_reentrant", "reentrant"]
    loss: Literal["full", "full_4_46", "full_4", "fused_logits", "chunked", "fused", "any"]
    head: NonNegativeFloat
    kept: NonNegativeFloat
    forward: NonNegativeFloat
    backward: NonNegativeFloat
    gradients: NonNegativeFloat
    temporaries: NonNegativeFloat
    most: NonNegativeFloat
    replays: PositiveInt
    median_error: NonNegativeFloat
    p90_error: NonNegativeFloat
    source: Text
    as_of: date

    @property
    def coefficients(self) -> tuple[float, ...]:
        """All of them, in order."""
        return self.head, self.kept, self.forward, self.backward, self.gradients, self.temporaries, self.most
