"""What a live storage is for: the planner's categories, told from where it was born and when it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from profiler.storages import Birth, Record

Category = Literal["weights", "gradients", "optimizer", "activations", "logits", "workspace"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
Bytes = dict[Category, int]


@dataclass(frozen=True, slots=True)
class Categories:
    """Tells the category of a storage of one record.

    weights: there before the first step, or made in a step and kept (a bias that bitsandbytes casts).
    gradients: born in backward and ended by zero_grad.
    optimizer: born in the optimizer's step and kept.
    logits: as large as tokens x vocabulary, from the head's output to its gradient.
    activations: what forward, or the recomputation of a checkpointed layer, keeps for backward, and token ids.
    workspace: the rest, temporaries and the gradients that travel through the layers.
    """

    record: Record
    num_logits: int  # tokens x vocabulary, in elements
    classes: Mapping[str, str] = field(default_factory=dict)  # of each module, by its name

    def of(self, birth: Birth) -> Category:
        """The category of one storage."""
        if birth.phase == "loaded":
            return "weights"
        end = "never" if birth.died is None else self.record.events[birth.died].phase
        if birth.phase == "optimizer":
            return "workspace" if end == "optimizer" else "optimizer"
        if end == "never":
            return "activations" if birth.dtype == "int64" else "weights"
        if birth.phase == "backward" and end in ("optimizer", "between"):
            return "gradients"
        if _num_elements(birth.shape) >= self.num_logits:
            return "logits"
        kept = birth.recomputed or (birth.phase == "forward" and end != "forward")
        return "activations" if kept else "workspace"

    def live(self) -> np.ndarray:
        """Bytes live after each event (rows), by category (columns in the order of CATEGORIES)."""
        deltas = np.zeros((len(self.record.events), len(CATEGORIES)), dtype=np.int64)
        column = {id(birth): CATEGORIES.index(self.of(birth)) for birth in self.record.births}
        for row, event in enumerate(self.record.events):
            deltas[row, column[id(event.birth)]] = event.delta
        return np.cumsum(deltas, axis=0)


def as_bytes(row: np.ndarray) -> Bytes:
    """A row of Categories.live as a mapping."""
    return {category: int(value) for category, value in zip(CATEGORIES, row, strict=True)}


def _num_elements(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64)) if len(shape) > 1 else 0
