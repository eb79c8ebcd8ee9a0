"""Every option for a goal with its outcome, the front of time against money, the cheapest and the fastest."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.sweep.block import Block, joined, texts
from planner.sweep.columns import COLUMNS, Column
from planner.sweep.goal import Goal, Variant, variants
from planner.sweep.pareto import beaten_by, front
from planner.sweep.rows import blocks

#: What becomes of an option, from the first hurdle to the last; where several hold, the first is said.
OUTCOMES = (
    "refused",
    "does not fit",
    "tight",
    "no speed",
    "no price",
    "too slow",
    "over budget",
    "dominated",
    "on the front",
)
_FRONT, _DOMINATED = OUTCOMES.index("on the front"), OUTCOMES.index("dominated")

_OWN = (
    Column("gradient_checkpointing", "text", "whether layers are recomputed in the backward pass"),
    Column("loss", "text", "full, chunked or fused; blank: as the stack has it"),
    Column("outcome", "text", "on the front, or the hurdle that it fails", short=True),
    Column("reason", "text", "why it is not on the front"),
)
_BEFORE = [column for column in COLUMNS if column.name != "gpus_needed"]
_PLACE = [column.name for column in _BEFORE].index("verdict")
#: Columns of a search's options.
OPTION_COLUMNS = (*_BEFORE[:_PLACE], *_OWN[:2], *_BEFORE[_PLACE:-1], *_OWN[2:])


@dataclass(frozen=True, slots=True)
class Search:
    """options: all that were tried. outcome: of each, a place in OUTCOMES. front: places of options, fastest first."""

    goal: Goal
    options: Block
    outcome: NDArray[np.intp]
    front: NDArray[np.intp]

    @property
    def fastest(self) -> int | None:
        """Place of the fastest feasible option."""
        return int(self.front[0]) if len(self.front) else None

    @property
    def cheapest(self) -> int | None:
        """Place of the cheapest feasible option."""
        return int(self.front[-1]) if len(self.front) else None

    @property
    def counts(self) -> dict[str, int]:
        """How many options have each outcome; those without any left out."""
        found = Counter(self.outcome.tolist())
        return {OUTCOMES[number]: found[number] for number in sorted(found)}

    def reason(self, place: int) -> str:
        """Why an option is not on the front, with its figures; empty for one that is."""
        return _reason(self, place, OUTCOMES[self.outcome[place]])

    def rows(self, places: list[int]) -> list[dict[str, str | float | None]]:
        """Some options as mappings of column to value."""
        return [{name: self.options.value(name, place) for name in self.options.columns} for place in places]

    def table(self) -> Block:
        """Every option with its outcome and reason, as a table's rows."""
        places = np.arange(self.options.num_rows)
        columns = dict(self.options.columns)
        columns["outcome"] = texts(OUTCOMES, self.outcome)
        columns["reason"] = texts([self.reason(place) or None for place in places.tolist()], places)
        return Block(self.options.num_rows, {column.name: columns[column.name] for column in OPTION_COLUMNS})

    def best_by_card(self) -> list[int]:
        """Of each card the option that comes furthest: the cheapest of those, or the one that lacks least."""
        usd, lacks = self.options.numbers("cost_usd"), -self.options.numbers("headroom_gib")
        order = np.lexsort((np.nan_to_num(lacks, nan=np.inf), np.nan_to_num(usd, nan=np.inf), -self.outcome))
        cards = self.options.texts("gpu").codes[order]
        first = np.sort(np.unique(cards, return_index=True)[1])
        return [int(place) for place in order[first]]


def search(goal: Goal) -> Search:
    """Try every option of a goal. Raises PlannerError where the goal or its model cannot be planned."""
    options = joined([_with_settings(block, one) for one in variants(goal) for block in blocks(one.axes, needed=False)])
    outcome = _outcome(goal, options)
    feasible = outcome == _DOMINATED
    hours, usd = (np.where(feasible, options.numbers(name), np.nan) for name in ("train_hours", "cost_usd"))
    best = front(hours, usd)
    outcome[best] = _FRONT
    return Search(goal, options, outcome, best)


def _with_settings(block: Block, variant: Variant) -> Block:
    columns, same = dict(block.columns), np.zeros(block.num_rows, np.intp)
    for name, value in variant.settings.items():
        columns[name] = texts((value,), same)
    return Block(block.num_rows, columns)


def _outcome(goal: Goal, options: Block) -> NDArray[np.intp]:
    """The first hurdle that each option fails; `dominated` stands for none yet."""
    verdict, hours, usd = options.texts("verdict"), options.numbers("train_hours"), options.numbers("cost_usd")
    is_verdict = {name: verdict.codes == number for number, name in enumerate(verdict.names)}
    never = np.zeros(options.num_rows, np.bool_)
    failed = {
        "refused": is_verdict.get(None, never),
        "does not fit": is_verdict.get("does not fit", never),
        "tight": is_verdict.get("tight", never) & (not goal.allow_tight),
        "no speed": np.isnan(hours),
        "no price": np.isnan(usd),
        "too slow": never if goal.deadline_hours is None else hours > goal.deadline_hours,
        "over budget": never if goal.budget_usd is None else usd > goal.budget_usd,
    }
    return np.select(list(failed.values()), [OUTCOMES.index(name) for name in failed], _DOMINATED).astype(np.intp)


def _reason(found: Search, place: int, outcome: str) -> str:
    options, goal = found.options, found.goal
    value = {name: options.value(name, place) for name in ("headroom_gib", "train_hours", "cost_usd", "gpu")}
    match outcome:
        case "refused":
            return str(options.value("refused", place))
        case "does not fit":
            return f"does not fit: {-float(value['headroom_gib'] or 0):.1f} GiB too much on {value['gpu']}"
        case "tight":
            return "tight: the 90% band crosses what the card offers"
        case "no speed":
            return f"no speed: the rates of {value['gpu']} are not known"
        case "no price":
            return f"no price: {options.value('price_note', place)}"
        case "too slow":
            return f"too slow: {value['train_hours']:,.4g} hours of {goal.deadline_hours:,.4g}"
        case "over budget":
            return f"over budget: {value['cost_usd']:,.4g} USD of {goal.budget_usd:,.4g}"
        case "dominated":
            return _dominated(found, place)
    return ""


def _dominated(found: Search, place: int) -> str:
    hours, usd = (found.options.numbers(name) for name in ("train_hours", "cost_usd"))
    better = beaten_by(place, hours, usd, found.front)
    what = f"{found.options.value('num_gpus', better):.0f} x {found.options.value('gpu', better)}"
    return (
        f"dominated: {hours[place]:,.4g} hours and {usd[place]:,.4g} USD; {what} by "
        f"{found.options.value('method', better)} takes {hours[better]:,.4g} and {usd[better]:,.4g}"
    )
