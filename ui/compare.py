"""Questions side by side: the same inputs with one of them changed, and what each of them is answered. No streamlit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from planner.answer import Plan
from planner.errors import PlannerError
from planner.schema import PlanRequest
from ui import state

By = Literal["methods", "GPUs", "stacks", "saved questions"]
BY: tuple[By, ...] = ("methods", "GPUs", "stacks", "saved questions")

#: The input that a comparison changes.
_CHANGED: dict[By, str] = {"methods": "method", "GPUs": "gpu", "stacks": "stack"}

#: Most questions beside each other: more than a picture can show are a table's (Sweep).
MAX_VARIANTS = 12


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the questions: what it is called here, its inputs, and the answer or why there is none."""

    name: str
    values: dict[str, Any]
    request: PlanRequest | None = None
    plan: Plan | None = None
    error: str = ""


def variants(
    by: By, values: state.Values, chosen: Sequence[str], saved: Mapping[str, state.Values]
) -> list[tuple[str, dict[str, Any]]]:
    """The inputs of each question by its name: the question at hand with one input changed, or saved ones."""
    if by == "saved questions":
        return [(name, state.defaults() | dict(saved[name])) for name in chosen if name in saved][:MAX_VARIANTS]
    return [(name, _changed(by, values, name)) for name in dict.fromkeys(chosen)][:MAX_VARIANTS]


def _changed(by: By, values: state.Values, name: str) -> dict[str, Any]:
    """A stack brings its own values, in the place of those that the stack at hand brought; for a method its own too."""
    changed = {**state.defaults(), **values, _CHANGED[by]: name}
    if by == "stacks":
        changed |= state.change_of_stack(changed, str(values.get("stack")), name, str(changed["method"]))
    if by == "methods":
        changed |= state.change_of_method({**state.defaults(), **values}, name)
    return changed


def answered(name: str, values: dict[str, Any], plan_of: Callable[[PlanRequest], Plan]) -> Variant:
    """The question with its answer, or with the line that refuses it."""
    try:
        request = state.request_from_values(values)
        return Variant(name, values, request, plan_of(request))
    except PlannerError as error:
        return Variant(name, values, error=error.message)


def headline(found: Sequence[tuple[str, Plan]]) -> str:
    """The comparison in a sentence: which fit, and which needs least or is the smallest card."""
    least = min(found, key=lambda pair: pair[1].resident_bytes)[0]
    fitting = [(name, plan) for name, plan in found if plan.verdict == "fits"]
    tight = [name for name, plan in found if plan.verdict == "tight"]
    if all(plan.verdict is None for _, plan in found):
        return f"{least} needs least"
    if not fitting:
        return f"None fits; {', '.join(tight)} may" if tight else f"None fits; {least} needs least"
    which = f"All {len(found)}" if len(fitting) == len(found) > 1 else ", ".join(name for name, _ in fitting)
    return f"{which} {'fits' if len(fitting) == 1 else 'fit'}{_best(fitting, least)}"


def _best(fitting: Sequence[tuple[str, Plan]], least: str) -> str:
    """What speaks for one of those that fit: the smallest card, or the least need on cards alike."""
    if len(fitting) == 1:
        return ""
    if len({plan.usable_bytes for _, plan in fitting}) == 1:
        return f"; {least} needs least"
    return f"; {min(fitting, key=lambda pair: pair[1].usable_bytes or 0)[0]} is the smallest card"
