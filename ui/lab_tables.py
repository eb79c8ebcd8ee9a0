"""The laboratories' tables: pure functions to DataFrames."""

import pandas as pd

from planner.labs.lesson import Lesson
from planner.labs.levels import levels
from planner.labs.nf4 import dequantize


def block_frame(lesson: Lesson) -> pd.DataFrame:
    """Each weight of the block: over its constant, the level it takes in NF4, what comes back, and the error."""
    nf4 = lesson.shown["nf4"]
    constant = float(nf4.absmax[0])
    back = dequantize(nf4)
    return pd.DataFrame(
        {
            "weight": lesson.weights,
            "over the constant": lesson.weights / (constant or 1.0),
            "code": nf4.index,
            "level": levels("nf4")[nf4.index],
            "comes back as": back,
            "error": back - lesson.weights,
        }
    )
