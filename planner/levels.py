"""Two levels of truth side by side: a plan beside a trace or a measurement: figures, categories, phases and terms.

Pure comparison of two answers; neither level knows of the other.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from planner.answer import PHASES, Plan
from planner.level_terms import group_terms

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

    def as_dict(self) -> dict[str, Any]:
        """The row with its difference and ratio."""
        return asdict(self) | {"difference": self.difference, "ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class Comparison:
    """A plan beside another level: figures, categories at the peak, and the highest moment of each phase."""

    level: str
    figures: tuple[Row, ...]
    categories: tuple[Row, ...]
    phases: tuple[Row, ...]
    terms: tuple[Row, ...]  # none where the other level does not know its storages

    def largest(self, count: int = 3) -> tuple[Row, ...]:
        """The largest differences among the terms, or where there are none the categories, largest first."""
        rows = sorted(self.terms or self.categories, key=lambda row: -abs(row.difference))
        return tuple(row for row in rows[:count] if row.difference)

    def as_dict(self) -> dict[str, Any]:
        """All rows with their difference and ratio."""
        parts = ("figures", "categories", "phases", "terms")
        return {"level": self.level} | {
            part: [row.as_dict() for row in rows]
            for part, rows in (*((part, getattr(self, part)) for part in parts), ("largest", self.largest()))
        }


def compare_levels(plan: Plan, answer: Mapping[str, Any]) -> Comparison:
    """A plan beside the answer of `trace` or `profile` for the same request."""
    dumped = plan.model_dump()
    figures = tuple(Row(name, dumped[name], answer[name]) for name in FIGURES if name in answer)
    categories = tuple(
        Row(name, dumped[f"{name}_bytes"], answer["live_bytes"].get(name, 0)) for name in TENSOR_CATEGORIES
    )
    planned = {row.phase: row.total_bytes - plan.runtime_bytes for row in plan.timeline}
    found = {row["phase"]: row["total_bytes"] for row in answer["timeline"]}
    phases = tuple(Row(p, planned[p], found[p]) for p in PHASES if p in planned and p in found)
    groups = group_terms(plan.terms, answer["storages"]) if answer.get("storages") else []
    terms = tuple(Row(group.name, group.plan, group.other) for group in groups)
    return Comparison(str(answer["level"]), figures, categories, phases, terms)
