"""The sizes at which a model is traced so that its memory is known at any: a small grid on the request's side of all
that changes with the size.

For fixed settings memory is a polynomial in batch and length (profiler/fit.py), but for what happens at a size of its
own: one sequence is handled otherwise than several, a sliding window masks only what is longer, linear attention and
state spaces pad to whole chunks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

from planner.schema import PlanRequest

#: Tokens between two lengths of the grid, where the config names no chunk: small, for models that loop over tokens.
STEP_TOKENS = 64
MAX_STEP_TOKENS = 1024
_POSITIONS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "n_ctx")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Two batches (one where there is a single sequence), three lengths a step apart, and a size held out."""

    batches: tuple[int, ...]
    lengths: tuple[int, int, int]
    held_out: tuple[int, int]

    def steps(self, batch: int, length: int) -> tuple[Fraction, Fraction]:
        """(b, t): a size in steps of the grid, 1 at its first batch and length; never negative on its side."""
        step = self.lengths[1] - self.lengths[0]
        t = Fraction(length - self.lengths[0], step) + 1
        if len(self.batches) == 1:
            return Fraction(1), t
        return Fraction(batch - self.batches[0], self.batches[1] - self.batches[0]) + 1, t


def choose_sizes(request: PlanRequest, config: Mapping[str, Any]) -> Sizes:
    """A grid for this request's batch and length."""
    text = config.get("text_config")
    fields = {**config, **text} if isinstance(text, Mapping) else config
    below, limit = _side(fields, request.max_length)
    step = _step(fields)
    if limit is not None:
        step = min(step, max(1, (limit - below) // 5))
    lengths = (below + step, below + 2 * step, below + 3 * step)
    if request.per_device_train_batch_size == 1:
        return Sizes((1,), lengths, (1, below + 5 * step))
    return Sizes((2, 3), lengths, (5, below + 5 * step))


def _side(fields: Mapping[str, Any], length: int) -> tuple[int, int | None]:
    """The largest window that the length reaches (0: none), and the longest length before the next or the end."""
    windows = [v for k, v in fields.items() if "window" in k and _is_count(v)]
    reached = max((w for w in windows if w <= length), default=0)
    ends = [w - 1 for w in windows if w > length]
    ends += [fields[k] for k in _POSITIONS if _is_count(fields.get(k)) and fields[k] > reached]
    return reached, min(ends, default=None)


def _step(fields: Mapping[str, Any]) -> int:
    """The step, a whole number of each chunk that the config names."""
    chunks = [v for k, v in fields.items() if "chunk_size" in k and _is_count(v)]
    step = lcm(STEP_TOKENS, *chunks)
    return step if step <= MAX_STEP_TOKENS else max([STEP_TOKENS, *chunks])


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 1
