"""The reader's case: their request, and the plans of it and of its variants."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from planner.advise import apply_changes
from planner.answer import PhaseBytes, Plan, Term
from planner.architecture.blocks import Architecture
from planner.errors import RequestError
from planner.estimate import estimate
from planner.memory.inventory import Item
from planner.methods.attention_names import attention_linears
from planner.prepare import Prepared, prepare
from planner.schema import PlanRequest

#: One card that holds everything, as most topics derive it.
ONE_CARD: dict[str, Any] = {"num_gpus": 1, "num_nodes": 1, "parallelism": {"strategy": "none"}}


@dataclass(frozen=True)
class Case:
    """One request with what the planner says about it, computed when it is asked for."""

    request: PlanRequest

    def changed(self, **changes: Any) -> "Case":
        """The same case with other settings.

        Raises PlannerError where they break a rule.
        """
        return Case(apply_changes(self.request, changes))

    @cached_property
    def plan(self) -> Plan:
        return estimate(self.request)

    @cached_property
    def prepared(self) -> Prepared:
        return prepare(self.request)[1]

    @property
    def architecture(self) -> Architecture:
        return self.prepared.model.architecture

    @property
    def items(self) -> tuple[Item, ...]:
        return self.prepared.static.items

    @property
    def attention_linears(self) -> list[str]:
        """Names that select the linears of the attention; none for a model without one."""
        try:
            return attention_linears(self.architecture)
        except RequestError:
            return []

    @property
    def label(self) -> str:
        """What the case is called in the origin of its values."""
        return f"plan ({self.plan.method})"

    def phase(self, name: str) -> PhaseBytes:
        """The largest moment of one phase."""
        return next(moment for moment in self.plan.timeline if moment.phase == name)

    def term(self, name: str) -> Term | None:
        """The term of the peak with this name; None where it is not live then."""
        return next((term for term in self.plan.terms if term.name == name), None)
