"""The rows of data/allocator.csv: what the caching allocator reserves, fitted to replays of its own rules."""

from datetime import date
from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt

from planner.catalog.rows import Row, Text

#: In the place of a loss: all of them together.
ANY = "any"


class AllocatorRow(Row):
    """A kind of step and its coefficients, in the order of planner/memory/reserved.py Blocks.parts.

    parameters: flat ones of FSDP1, or not. median_error, p90_error: of the closed form against the replays, those of
    the half that was not fitted to.
    """

    segments: Literal["fixed", "expandable"]
    parameters: Literal["whole", "flat"]
    training: Literal["full", "adapters"]
    checkpointing: Literal["none", "non_reentrant", "reentrant"]
    loss: Literal["full", "full_4_46", "full_4", "fused_logits", "chunked", "fused", "any"]
    head: NonNegativeFloat
    kept: NonNegativeFloat
    forward: NonNegativeFloat
    backward: NonNegativeFloat
    gradients: NonNegativeFloat
    temporaries: NonNegativeFloat
    kept_head_forward: NonNegativeFloat
    kept_head_backward: NonNegativeFloat
    most: NonNegativeFloat
    kept_backward_gradients: NonNegativeFloat
    head_step: NonNegativeFloat
    kept_step: NonNegativeFloat
    kept_head_step: NonNegativeFloat
    loaded: NonNegativeFloat = 0.0
    loaded_head: NonNegativeFloat = 0.0
    loaded_kept: NonNegativeFloat = 0.0
    replays: PositiveInt
    median_error: NonNegativeFloat
    p90_error: NonNegativeFloat
    source: Text
    as_of: date

    @property
    def coefficients(self) -> tuple[float, ...]:
        """All of them, in order."""
        return tuple(getattr(self, name) for name in COEFFICIENTS)


#: Columns of coefficients, in their order; step: gradients and temporaries of the optimizer.
COEFFICIENTS = (
    "head",
    "kept",
    "forward",
    "backward",
    "gradients",
    "temporaries",
    "kept_head_forward",
    "kept_head_backward",
    "most",
    "kept_backward_gradients",
    "head_step",
    "kept_step",
    "kept_head_step",
    "loaded",
    "loaded_head",
    "loaded_kept",
)
