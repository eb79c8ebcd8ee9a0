"""Two levels of truth side by side: a plan beside a trace or a measurement, category by category and phase by phase.

Pure comparison of two answers; neither level knows of the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.answer import PHASES, Plan

#: Categories of tensor bytes that both levels count.
TENSOR_CATEGORIES = ("weights", "gradients", "optimizer", "activations", "logits", "workspace")
#: Figures that both levels give under the same name.
FIGURES = ("weights_bytes", "peak_bytes", "steady_bytes", "trainable_params")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure at two levels."""

    name: str
    plan: int
    other: int

    @property
    def difference(self) -> int:
        return self.plan - self.other

    @property
    def ratio(self) -> float | None:
        """Plan over the other level; None where the other is zero."""
        return self.plan / self.other if self.other else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan beside another level: figures, categories at the peak, and the highest moment of each phase."""

    level: str
    figures: tuple[Row, ...]
    categories: tuple[Row, ...]
    phases: tuple[Row, ...]

    def largest(self, count: int = 3) -> tuple[Row, ...]:
        """The largest differences among categories and phases, largest first."""
        rows = sorted((*self.categories, *self.phases), key=lambda row: -abs(row.difference))
        return tuple(row for row in rows[:count] if row.difference)


def compare_levels(plan: Plan, answer: Mapping[str, Any]) -> Comparison:
    """A plan beside the answer of `trace` or `profile` for the same request."""
    dumped = plan.model_dump()
    figures = tuple(Row(name, dumped[name], answer[name]) for name in FIGURES if name in answer)
    categories = tuple(
        Row(name, dumped[f"{name}_bytes"], answer["live_bytes"].get(name, 0)) for name in TENSOR_CATEGORIES
    )
    planned = {row.phase: row.total_bytes - plan.runtime_bytes for row in plan.timeline}
    traced = {phase: sum(live.values()) for phase, live in answer["timeline"].items()}
    phases = tuple(Row(p, planned[p], traced[p]) for p in PHASES if p in planned and p in traced)
    return Comparison(str(answer["level"]), figures, categories, phases)
