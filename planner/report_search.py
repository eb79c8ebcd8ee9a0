"""What a person reads of a search over hyperparameters: the cheapest first, then every method and schedule."""

from collections.abc import Iterator, Sequence
from datetime import date

from planner.cost.hpo import Schedule, Search, SearchCost
from planner.method_search import MethodSearch, cheapest_search
from planner.report import Column, Report, Table, Text
from planner.report_money import hours, price_text, usd
from planner.schema import PlanRequest

_COLUMNS = (
    Column("method"),
    Column("verdict"),
    Column("trials a card holds", "number"),
    Column("schedule"),
    Column("at once", "number"),
    Column("machines", "number"),
    Column("hours", "number"),
    Column("USD", "number"),
)


def search_report(
    request: PlanRequest, search: Search, found: Sequence[MethodSearch], card: str, today: date
) -> Report:
    """The whole answer."""
    tables = (schedules_table(found),) if cheapest_search(found) else ()
    reasons = (Text(_reason(one.method, one.found)) for one in found if isinstance(one.found, str))
    price = next((one.plan.price for one in found if one.plan is not None and one.plan.price is not None), None)
    return (
        Text(_question(request, search, card, found)),
        Text(answer_text(found)),
        *tables,
        *reasons,
        *((Text(price_text(price, today)),) if price is not None else (Text("Nothing is priced."),)),
        *(Text(f"Note: {note}", "note") for note in search_notes(search)),
    )


def _question(request: PlanRequest, search: Search, card: str, found: Sequence[MethodSearch]) -> str:
    model = next((one.plan.model for one in found if one.plan is not None), str(request.model))
    trials = f"{search.num_trials:,} trial{'' if search.num_trials == 1 else 's'}"
    each = "the whole run" if search.trial_share == 1 else f"{search.trial_share:.0%} of the run"
    cards = f"one {card}" if request.num_gpus == 1 else f"{request.num_gpus:,} x {card}"
    return f"{model}, {trials} of {each}, each on {cards}: estimated."


def _reason(method: str, why: str) -> str:
    sentence = why if why.startswith(method) else f"{method}: {why}"
    return sentence if sentence.endswith(".") else f"{sentence}."


def answer_text(found: Sequence[MethodSearch]) -> str:
    """The cheapest way to run the search."""
    best = cheapest_search(found)
    if best is None:
        return "No method has trials there."
    assert isinstance(best.found, SearchCost)
    way = best.found.cheapest
    cost = "nothing is priced" if way.usd is None else usd(way.usd)
    return f"The cheapest: {best.method}, {way.name}: {hours(way.hours)}, {cost}."


def schedules_table(found: Sequence[MethodSearch]) -> Table:
    """A line a method and schedule, of the methods that fit."""
    return Table("", _COLUMNS, tuple(_rows(found)))


def _rows(found: Sequence[MethodSearch]) -> Iterator[tuple[str, ...]]:
    for one in found:
        if isinstance(one.found, SearchCost):
            for schedule in one.found.schedules:
                verdict = (one.plan.verdict if one.plan is not None else None) or ""
                yield (one.method, verdict, f"{one.found.trials_per_card:,}", *_cells(schedule))


def _cells(schedule: Schedule) -> tuple[str, ...]:
    cost = "" if schedule.usd is None else f"{schedule.usd:,.2f}"
    return schedule.name, f"{schedule.at_once:,}", f"{schedule.machines:,}", f"{schedule.hours:,.2f}", cost


def search_notes(search: Search) -> list[str]:
    """What the figures take for granted."""
    if search.sharing_efficiency > 1:
        shared = f"trials that share a card are together {search.sharing_efficiency:g} times as fast as one (given)"
    else:
        shared = "trials that share a card are taken to gain nothing from it: one keeps the card busy"
    return [
        f"{shared} (sharing_efficiency)",
        "a trial has its own weights and context; a card holds as many as fit with the upper end of their bands",
    ]
