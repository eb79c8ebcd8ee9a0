"""What a person reads of a sweep on a terminal: its short columns, and what a search found."""

from collections.abc import Sequence

from planner.report import Column, Report, Table, Text
from planner.sweep.block import Block
from planner.sweep.columns import COLUMNS, HEADINGS
from planner.sweep.columns import Column as SweepColumn
from planner.sweep.search import OPTION_COLUMNS, Search

_SHORT = tuple(column for column in COLUMNS if column.short)
_OPTION = {column.name: column for column in OPTION_COLUMNS}
_FRONT = """method gpu num_gpus strategy per_device_train_batch_size gradient_checkpointing loss needs_gib
    train_hours cost_usd price_provider price_date""".split()


def table_report(blocks: Sequence[Block], most: int) -> Report:
    """The first rows, at most so many; and why any of them were refused."""
    rows = [cells for block in blocks for cells in _rows(block)][:most]
    refused = dict.fromkeys(why for block in blocks for why in block.texts("refused").names if why)
    return (Table("", _headings(_SHORT), tuple(rows)), *(Text(f"Refused: {why}", "note") for why in refused))


def search_report(found: Search, fastest: bool) -> Report:
    """The plan to take, the front, and what became of the rest."""
    place = found.fastest if fastest else found.cheapest
    return (
        Text(_answer(found, place, fastest), "text" if place is None else "fits"),
        *([_front(found)] if place is not None else []),
        _cards(found),
        Text(f"{found.options.num_rows:,} options: {_counted(found)}.", "note"),
        Text("Hours and USD are expected, not their upper ends; the batch of a step differs between options.", "note"),
    )


def _answer(found: Search, place: int | None, fastest: bool) -> str:
    model, limits = found.options.value("model", 0), _limits(found)
    if place is None:
        return f"{model}: no option fits{limits}. What comes nearest on each card:"
    row = found.rows([place])[0]
    word = "fastest" if fastest else "cheapest"
    return (
        f"{model}, the {word} plan{limits}: {row['method']} on {row['num_gpus']:.0f} x {row['gpu']} "
        f"({row['price_provider']}): {row['train_hours']:,.3g} hours and {row['cost_usd']:,.2f} USD (estimated)."
    )


def _limits(found: Search) -> str:
    hours, usd = found.goal.deadline_hours, found.goal.budget_usd
    said = [*([f"{hours:,.4g} hours"] if hours else []), *([f"{usd:,.4g} USD"] if usd else [])]
    return f" within {' and '.join(said)}" if said else ""


def _front(found: Search) -> Table:
    columns = tuple(_OPTION[name] for name in _FRONT)
    rows = found.rows([int(place) for place in found.front])
    cells = tuple(tuple(_cell(row[column.name], column) for column in columns) for row in rows)
    return Table("Time against money: no other option is as fast and as cheap", _headings(columns), cells)


def _cards(found: Search) -> Table:
    """The best of each card that is not on the front, with what it fails."""
    places = [place for place in found.best_by_card() if found.reason(place)]
    names = ("gpu", "num_gpus", "method")
    rows = zip(places, found.rows(places), strict=True)
    cells = tuple((*(_cell(row[name], _OPTION[name]) for name in names), found.reason(place)) for place, row in rows)
    return Table("The best option of every other card", (*_headings(tuple(_OPTION[n] for n in names)), _WHY), cells)


_WHY = Column("why not")


def _counted(found: Search) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in found.counts.items())


def _headings(columns: Sequence[SweepColumn]) -> tuple[Column, ...]:
    return tuple(
        Column(HEADINGS.get(c.name, c.name), "text" if c.kind in ("text", "date") else "number") for c in columns
    )


def _rows(block: Block) -> list[tuple[str, ...]]:
    columns = [[_cell(value, column) for value in block.values(column.name)] for column in _SHORT]
    verdict = next(i for i, column in enumerate(_SHORT) if column.name == "verdict")
    columns[verdict] = [said or "refused" for said in columns[verdict]]
    return list(zip(*columns, strict=True))


def _cell(value: str | float | None, column: SweepColumn) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if column.kind == "integer" or value >= 10_000 else f"{value:,.4g}"
