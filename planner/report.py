"""What a person reads of a plan: the answer first, then the parts, then what to change. Words and tables, no output.

A report is a sequence of blocks; planner/cli/output.py writes them as plain text or in colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from planner.advise import Suggestion
from planner.answer import CATEGORIES, PHASE_NAMES, Category, Plan, Term
from planner.report_money import figures_of, time_and_money
from planner.schema import PlanRequest
from planner.units import format_count, format_gib, gib

Style = Literal["fits", "tight", "does not fit", "text", "note"]

CATEGORY_NAMES: dict[Category, str] = {
    "weights": "weights",
    "gradients": "gradients",
    "optimizer": "optimizer states",
    "activations": "activations",
    "logits": "logits and loss",
    "workspace": "workspace",
    "runtime": "CUDA context",
}
BAR_WIDTH = 30
_ON_DEVICE = "on the device (nvidia-smi)"


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    style: Style = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """kind: "text" is set left, "number" right, "bar" is a row of # signs."""

    heading: str
    kind: Literal["text", "number", "bar"] = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a title."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Text | Table
Report = tuple[Block, ...]


def fit_report(
    request: PlanRequest,
    plan: Plan,
    card: str,
    largest_batch: int | None,
    longest_sequence: int | None,
    suggestions: Sequence[Suggestion],
    today: date,
) -> Report:
    """The answer to "will it fit": verdict, parts, what fits, time and money, what to change."""
    changes = (suggestion_table(suggestions),) if suggestions else ()
    return (
        *answer(request, plan, card),
        parts_table(plan),
        Text(limits_text(request, largest_batch, longest_sequence)),
        *map(Text, time_and_money(plan, today)),
        *changes,
        *_notes(plan),
    )


def plan_report(request: PlanRequest, plan: Plan, card: str | None, today: date) -> Report:
    """The whole estimate: the answer, time and money, the parts, the timeline of a step and the whole ledger."""
    return (
        *answer(request, plan, card),
        Text(totals_text(plan, request.device)),
        *map(Text, time_and_money(plan, today)),
        parts_table(plan),
        timeline_table(plan),
        ledger_table(plan),
        *((step_table(plan),) if plan.step_parts else ()),
        *_notes(plan),
    )


def step_table(plan: Plan) -> Table:
    """What a step's time is made of, the largest part first."""
    whole = plan.step_seconds or 1
    parts = sorted((part for part in plan.step_parts if part.seconds > 0), key=lambda part: -part.seconds)
    rows = [(p.name, f"{p.seconds:.3g}", f"{p.seconds / whole:.0%}", p.formula, p.source) for p in parts]
    columns = (Column("part"), Column("seconds", "number"), Column("share", "number"), Column("formula"))
    return Table("Time of a step", (*columns, Column("source", "text")), tuple(rows))


def answer(request: PlanRequest, plan: Plan, card: str | None) -> Report:
    """The verdict in one line, and what it rests on in the next."""
    verdict = f": {plan.verdict}" if plan.verdict else ""
    title = f"{plan.model}, {plan.method}, {step_text(request)}{_where(request, card)}{verdict}."
    needs = needs_text(plan, request.names_stack)
    return Text(title, plan.verdict or "text"), Text(f"{needs} {_peak_text(plan)}")


def step_text(request: PlanRequest) -> str:
    """The size of one step."""
    checkpointing = ", gradient checkpointing" if request.gradient_checkpointing else ""
    return f"{request.per_device_train_batch_size} x {request.max_length:,} tokens{checkpointing}"


def needs_text(plan: Plan, names_stack: bool = True) -> str:
    """What it needs, and what the card offers."""
    level = "tensors traced, the rest estimated" if plan.certainty == "traced" else "estimated"
    paged = format_gib(plan.paged_bytes)
    beside = f" beside {paged} of paged optimizer states that can leave the card" if plan.paged_bytes else ""
    needs = f"It needs {format_gib(plan.resident_bytes)} ({level}; {_band(plan)}){beside}"
    if plan.usable_bytes is None or plan.headroom_bytes is None:
        return f"{needs}."
    offers = f"; the card offers {format_gib(plan.usable_bytes)}"
    if plan.verdict == "tight":
        wide = "" if names_stack else "; the band is wide because no stack is named (--stack)"
        return f"{needs}{offers}, within the band: {tight_text(plan)}{wide}."
    left = f"{format_gib(abs(plan.headroom_bytes))} {'left' if plan.headroom_bytes >= 0 else 'too little'}"
    return f"{needs}{offers}: {left}."


def tight_text(plan: Plan) -> str:
    """What a tight verdict means: which way it leans, and how far."""
    if plan.oom_probability is None:
        return "it may fit or run out of memory"
    leans = "it probably fits" if plan.oom_probability < 0.5 else "it probably does not fit"
    return f"{leans}, with a chance to fit of {1 - plan.oom_probability:.0%}"


def parts_table(plan: Plan) -> Table:
    """What is live at the peak by category, and what the allocator adds; the rows sum to the total."""
    parts = [(CATEGORY_NAMES[c], int(getattr(plan, f"{c}_bytes"))) for c in CATEGORIES]
    parts.append(("allocator's slack", plan.slack_bytes))
    parts.append(("total", plan.needed_bytes))
    rows = [(name, _gib(b), f"{b / plan.needed_bytes:.0%}", _bar(b, plan.needed_bytes)) for name, b in parts if b]
    columns = (Column("part"), Column("GiB", "number"), Column("share", "number"), Column("", "bar"))
    return Table("At the peak", columns, tuple(rows))


def limits_text(request: PlanRequest, largest_batch: int | None, longest_sequence: int | None) -> str:
    """The largest batch and the longest sequence that fit, the rest of the request as it is."""
    batch, length = request.per_device_train_batch_size, request.max_length
    if longest_sequence is None:
        shortest = f"At batch {batch} no sequence fits, however short."
        return shortest if batch == 1 or largest_batch is None else f"{shortest} {_largest(length, largest_batch)}"
    longest = f"Longest sequence that fits at batch {batch}: {longest_sequence:,} tokens."
    return f"{_largest(length, largest_batch)} {longest}"


def suggestion_table(suggestions: Sequence[Suggestion]) -> Table:
    """Each change, what it saves, what it leads to, and its price."""
    rows = tuple((s.label, _gib(max(s.saves_bytes, 0)), _gib(s.device_bytes), s.verdict, s.price) for s in suggestions)
    headings = (Column("change"), Column("saves GiB", "number"), Column("then needs", "number"))
    return Table("What to change", (*headings, Column("verdict"), Column("price")), rows)


def timeline_table(plan: Plan) -> Table:
    """The largest moment of each phase of a step."""
    top = max((moment.total_bytes for moment in plan.timeline), default=0)
    rows = tuple((PHASE_NAMES[m.phase], _gib(m.total_bytes), _bar(m.total_bytes, top)) for m in plan.timeline)
    return Table("One step, phase by phase", (Column("phase"), Column("live GiB", "number"), Column("", "bar")), rows)


def ledger_table(plan: Plan) -> Table:
    """Every term of the peak: bytes, formula, values put in, lifetime and source."""
    headings = ("term", "category", "formula", "with", "lives", "certainty", "source")
    columns = [Column(heading) for heading in headings]
    columns.insert(2, Column("bytes", "number"))
    return Table("Ledger of the peak", tuple(columns), tuple(map(_ledger_row, plan.terms)))


def _ledger_row(term: Term) -> tuple[str, ...]:
    values = ", ".join(
        f"{name}={f'{value:,}' if isinstance(value, int) else value}" for name, value in term.inputs.items()
    )
    lives = f"{PHASE_NAMES[term.born]} to {PHASE_NAMES[term.freed]}"
    return (term.name, term.category, f"{term.bytes:,}", term.formula, values, lives, term.certainty, term.source)


def comparison_table(plans: Sequence[Plan]) -> Table:
    """One line a plan: method, card, need, band, headroom and verdict; hours and USD where they are known."""
    with_card = any(plan.gpu for plan in plans)
    numbers = [Column(heading, "number") for heading in ("trains", "needs GiB", "90% band")]
    columns = [Column("method"), *numbers]
    if with_card:
        columns = [Column("method"), Column("gpu"), *numbers, Column("left GiB", "number"), Column("verdict")]
    money = figures_of(plans)
    columns += [Column(heading, "number") for heading in money]
    rows = tuple(
        (*_comparison_row(plan, with_card), *cells)
        for plan, cells in zip(plans, zip(*money.values(), strict=True) if money else [()] * len(plans), strict=True)
    )
    return Table("Side by side", tuple(columns), rows)


def totals_text(plan: Plan, device: str) -> str:
    """Counts, and the figures other tools show."""
    allocated, on_device = ("", "in the process") if device == "cpu" else (" (max_memory_allocated)", _ON_DEVICE)
    share = plan.trainable_params / plan.total_params if plan.total_params else 0
    return (
        f"{format_count(plan.total_params)} parameters, {format_count(plan.trainable_params)} trained ({share:.2%}). "
        f"Allocated at the peak{allocated}: {format_gib(plan.peak_bytes)}; reserved: "
        f"{format_gib(plan.reserved_bytes)}; {on_device}: {format_gib(plan.device_bytes)}; between "
        f"steps: {format_gib(plan.steady_bytes)}. Host memory to load: {format_gib(plan.host_bytes)}; disk: "
        f"{format_gib(plan.disk_bytes)}; trained weights as saved: {format_gib(plan.adapter_bytes)}."
    )


def _comparison_row(plan: Plan, with_card: bool) -> tuple[str, ...]:
    trains, needs = format_count(plan.trainable_params), _gib(plan.resident_bytes)
    if not with_card:
        return plan.method, trains, needs, _band(plan)
    headroom = "" if plan.headroom_bytes is None else _gib(plan.headroom_bytes)
    return plan.method, plan.gpu or "", trains, needs, _band(plan), headroom, plan.verdict or ""


def _where(request: PlanRequest, card: str | None) -> str:
    cards = request.num_gpus
    if request.device == "cpu":
        return ", on the CPU"
    if card is None:
        return ""
    return f", on one {card}" if cards == 1 else f", on each of {cards:,} x {card}"


def _peak_text(plan: Plan) -> str:
    if plan.peak_phase == "loaded":
        return "The peak falls when the model is loaded."
    return f"The peak falls {'' if plan.peak_phase == 'between_steps' else 'in the '}{PHASE_NAMES[plan.peak_phase]}."


def _band(plan: Plan) -> str:
    low_bytes, high_bytes = plan.resident_band
    low, unit = format_gib(low_bytes).split(" ")
    high, high_unit = format_gib(high_bytes).split(" ")
    return f"{low} to {high} {unit}" if unit == high_unit else f"{low} {unit} to {high} {high_unit}"


def _largest(length: int, largest_batch: int | None) -> str:
    if largest_batch is None:
        return f"At {length:,} tokens no batch fits."
    return f"Largest batch that fits at {length:,} tokens: {largest_batch:,}."


def _gib(num_bytes: int) -> str:
    """A cell of a column in GiB."""
    return f"{gib(num_bytes):,.2f}"


def _bar(part: int, whole: int) -> str:
    return "#" * round(BAR_WIDTH * part / whole) if whole else ""


def _notes(plan: Plan) -> Report:
    return tuple(Text(f"Note: {note}", "note") for note in plan.notes)
