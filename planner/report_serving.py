"""What a person reads of serving: the answer first, then the parts, the most that fits, both ways, and the ledger."""

from collections.abc import Iterable, Sequence

from planner.report import BAR_WIDTH, Column, Report, Table, Text
from planner.serving.answer import PARTS, Part, Serving, ServingTerm
from planner.serving.request import ServeRequest
from planner.serving.scenario import Way
from planner.units import format_count, format_gib, gib

PART_NAMES: dict[Part, str] = {
    "base": "base",
    "adapters": "adapters",
    "cache": "cache",
    "runtime": "runtime",
}
#: Terms of a forward pass are many and small: one line in the terminal, all of them in JSON.
_PASS = "forward pass: "


def serving_report(request: ServeRequest, found: Serving, card: str | None, both: Sequence[Way]) -> Report:
    """The whole answer."""
    return (
        *serving_answer(request, found, card),
        parts_table(found),
        *limits_text(found, card),
        *((ways_table(both),) if both else ()),
        ledger_table(found),
        *(Text(f"Note: {note}", "note") for note in found.notes),
    )


def serving_answer(request: ServeRequest, found: Serving, card: str | None) -> Report:
    """The verdict in one line, and what it rests on in the next."""
    where = f", on one {card}" if card else ""
    verdict = f": {found.verdict}" if found.verdict else ""
    title = f"{found.model}{base_text(request)}, {load_text(request)}{where}{verdict}."
    return Text(title, found.verdict or "text"), Text(needs_text(found))


def base_text(request: ServeRequest) -> str:
    """How the base is kept, where that is not in 16 bits."""
    return "" if request.quantization is None else f" in {request.quantization.bits_in_force} bits"


def load_text(request: ServeRequest) -> str:
    """Adapters and sequences."""
    count, seqs = request.num_adapters, request.max_num_seqs
    adapters = f"{count:,} adapter{'' if count == 1 else 's'}"
    return f"{adapters}, {seqs:,} sequence{'' if seqs == 1 else 's'} of {request.max_model_len:,} tokens"


def needs_text(found: Serving) -> str:
    """What it needs, and what the card offers."""
    needs = f"It needs {format_gib(found.total_bytes)} (estimated)"
    if found.usable_bytes is None or found.headroom_bytes is None:
        return f"{needs}."
    offers = f"{needs}; the card offers {format_gib(found.usable_bytes)}"
    if found.verdict == "tight":
        certain = format_gib(found.certain_bytes)
        return f"{offers}: weights and cache fit with {certain}, workspace and the allocator's slack may not."
    left = f"{format_gib(abs(found.headroom_bytes))} {'left' if found.headroom_bytes >= 0 else 'too little'}"
    return f"{offers}: {left}."


def parts_table(found: Serving) -> Table:
    """The four parts, which sum to the total."""
    parts = [(PART_NAMES[part], int(getattr(found, f"{part}_bytes"))) for part in PARTS]
    rows = tuple(
        (name, f"{gib(b):,.2f}", f"{b / found.total_bytes:.0%}", "#" * round(BAR_WIDTH * b / found.total_bytes))
        for name, b in (*parts, ("total", found.total_bytes))
    )
    columns = (Column("part"), Column("GiB", "number"), Column("share", "number"), Column("", "bar"))
    return Table("On the card", columns, rows)


def limits_text(found: Serving, card: str | None) -> Report:
    """The most that fits, each with the rest as it is."""
    if card is None:
        return ()
    adapters = _most(found.largest_num_adapters, "adapters", found.adapters_bytes > 0)
    seqs = _most(found.largest_num_seqs, f"sequences of {found.max_model_len:,} tokens")
    length = _most(found.longest_model_len, "tokens a sequence")
    most = "; ".join(filter(None, (adapters, seqs, length)))
    return (Text(f"The most that fits, each with the rest as it is: {most}."),)


def _most(value: int | None, what: str, asked: bool = True) -> str:
    if not asked:
        return ""
    return f"no {what}" if value is None else f"{value:,} {what}"


def ways_table(both: Sequence[Way]) -> Table:
    """One base with adapters beside whole models."""
    money = ("training hours", "training USD") if any(way.train_hours is not None for way in both) else ()
    columns = (
        Column("way"),
        Column("trains a tenant", "number"),
        Column("training GiB", "number"),
        *(Column(heading, "number") for heading in money),
        Column("files GiB", "number"),
        Column("weights GiB", "number"),
        Column("in all GiB", "number"),
        Column("tenants a card", "number"),
        Column("cards", "number"),
    )
    title = f"{both[0].num_tenants:,} tenant{'' if both[0].num_tenants == 1 else 's'}, two ways"
    return Table(title, columns, tuple(_way_row(way, bool(money)) for way in both))


def money_cells(way: Way) -> tuple[str, str]:
    """Hours and USD of training all tenants on the card."""
    hours = "does not fit" if way.train_hours is None else f"{way.train_hours:,.1f}"
    return hours, "not known" if way.train_cost_usd is None else f"{way.train_cost_usd:,.2f}"


def _way_row(way: Way, with_money: bool) -> tuple[str, ...]:
    sizes = (way.storage_bytes, way.weights_bytes, way.serving_bytes)
    counts = (way.tenants_per_card, way.cards)
    return (
        way.name,
        format_count(way.trained_params),
        f"{gib(way.training_bytes):,.2f}",
        *(money_cells(way) if with_money else ()),
        *(f"{gib(size):,.2f}" for size in sizes),
        *("none fits" if count is None else f"{count:,}" for count in counts),
    )


def ledger_table(found: Serving) -> Table:
    """Every term; those of a forward pass as one."""
    texts = (Column("formula"), Column("values"), Column("certainty"), Column("source"))
    columns = (Column("term"), Column("part"), Column("bytes", "number"), *texts)
    return Table("Ledger", columns, tuple(map(_ledger_row, folded(found.terms))))


def folded(terms: Iterable[ServingTerm]) -> list[ServingTerm]:
    """The terms of a forward pass as one, the others as they are."""
    rows: list[ServingTerm] = []
    passing: list[ServingTerm] = []
    for term in terms:
        (passing if term.name.startswith(_PASS) else rows).append(term)
    if not passing:
        return rows
    largest = max(passing, key=lambda term: term.bytes)
    one = ServingTerm(
        name="forward pass of the prompts",
        part="runtime",
        bytes=sum(term.bytes for term in passing),
        formula=f"sum of {len(passing)} terms, the largest {largest.name.removeprefix(_PASS)}: {largest.formula}",
        inputs=largest.inputs,
        source=largest.source,
        certainty=largest.certainty,
    )
    return [*rows, one]


def _ledger_row(term: ServingTerm) -> tuple[str, ...]:
    values = ", ".join(f"{name}={f'{v:,}' if isinstance(v, int) else v}" for name, v in term.inputs.items())
    return term.name, PART_NAMES[term.part], f"{term.bytes:,}", term.formula, values, term.certainty, term.source
