"""The page's sentences: what a plan says, in words."""

import re

from planner.advise import Suggestion
from planner.answer import PHASE_NAMES, Phase, Plan, Term, Verdict
from planner.catalog.own_gpu import is_own
from planner.catalog.rows.gpu import GpuRow
from planner.catalog.rows.model import ModelRow
from planner.parallelism import ParallelismSettings
from planner.report import tight_text
from planner.schema import PlanRequest
from planner.serving.answer import ServingTerm
from planner.units import GB, format_count, format_gib
from ui.figures import number, on_disk, short_gib

METHOD_NAMES = {
    "full": "full fine-tuning",
    "lora": "LoRA",
    "qlora": "QLoRA",
    "dora": "DoRA",
    "adalora": "AdaLoRA",
    "ia3": "(IA)³",
    "prompt_tuning": "prompt tuning",
    "prefix_tuning": "prefix tuning",
    "p_tuning": "p-tuning",
}

#: A verdict's icon and colour: the word, the shape and the colour say the same.
VERDICT_MARKS: dict[Verdict, tuple[str, str]] = {
    "fits": (":material/check_circle:", "green"),
    "tight": (":material/warning:", "orange"),
    "does not fit": (":material/cancel:", "red"),
}

SHORT_PHASES: dict[Phase, str] = {
    "loaded": "loaded",
    "forward": "forward",
    "loss": "loss",
    "backward_head": "backward:<br>head",
    "backward_layers": "backward:<br>layers",
    "backward_embedding": "backward:<br>embedding",
    "optimizer_step": "optimizer<br>step",
    "between_steps": "between<br>steps",
}

_PEAK_PLACES: dict[Phase, str] = {"loaded": "when the model is loaded", "between_steps": "between the steps"}

CERTAINTY_HELP = (
    "exact: checked to the byte against real runs; modelled: from the library's rules, not checked operation by "
    "operation; fitted: from measurements; traced: the libraries' own code on tensors without data"
)

UNITS_NOTE = (
    "Memory is in GiB here: 1 GiB is 1024³ bytes, 1 GB is 10⁹ bytes, so 1 GiB is 1.074 GB. nvidia-smi and torch count "
    "in 1024s; papers, file sizes and the name on a card's box count in 1000s or round. A card sold as 24 GB offers a "
    "process about 23.6 GiB, and less where a screen hangs on it."
)


def question(request: PlanRequest, plan: Plan, card_name: str | None) -> str:
    """The question in one line: model, method, batch x length, card."""
    batch = f"{request.per_device_train_batch_size:,} x {request.max_length:,} tokens"
    method = METHOD_NAMES.get(plan.method, plan.method)
    return f"{plan.model.rpartition('/')[2]}, {method}, {batch}{_where(request, card_name)}"


def measured_question(request: PlanRequest) -> str:
    """The question of a run on this machine: model, method, batch x length; whatever card is asked about elsewhere."""
    batch = f"{request.per_device_train_batch_size:,} x {request.max_length:,} tokens"
    return f"{model_name(request)}, {METHOD_NAMES.get(request.method, request.method)}, {batch}"


def model_name(request: PlanRequest) -> str:
    """What the request's model is called, without its organization."""
    model = request.model
    name = model if isinstance(model, str) else str(model.get("_name_or_path") or model.get("model_type") or "config")
    return name.rpartition("/")[2]


def take_away(request: PlanRequest) -> str:
    """How the question is taken along."""
    if isinstance(request.model, str):
        return "This page's address holds the whole question. On the command line, the same answer:"
    return (
        "Your own model does not travel in this page's address: the request as JSON holds its config. With that file, "
        "on the command line, the same plan:"
    )


def _where(request: PlanRequest, card_name: str | None) -> str:
    if card_name is None:
        return ""
    if request.num_gpus == 1:
        return f", on one {card_name}"
    return f", on {request.num_gpus:,} x {card_name}{_shared(request.parallelism)}"


#: How each strategy is written in a sentence.
_STRATEGIES = {
    "ddp": "DDP",
    "zero1": "ZeRO-1",
    "zero2": "ZeRO-2",
    "zero3": "ZeRO-3",
    "fsdp": "FSDP",
    "hsdp": "HSDP",
    "device_map": "device_map='auto'",
}


def _shared(parallelism: ParallelismSettings) -> str:
    """How the cards share the work: the strategy, then each kind of parallelism with its size."""
    words = [_STRATEGIES[parallelism.strategy]] if parallelism.strategy != "none" else []
    kinds = ("tensor", "pipeline", "context", "expert")
    sizes = {kind: getattr(parallelism, f"{kind}_parallel_size") for kind in kinds}
    words += [f"{kind} parallel {size:,}" for kind, size in sizes.items() if size > 1]
    return f" with {', '.join(words)}" if words else ""


def settings(request: PlanRequest) -> str:
    """The settings that the question itself makes, "" where it makes none."""
    asked = {"id", "model", "method", "gpu", "num_gpus", "parallelism", "max_length", "per_device_train_batch_size"}
    asked |= {"dataset", "pricing"}
    changed = request.model_dump(exclude_unset=True, exclude=asked)
    words: list[str] = []
    for name, value in changed.items():
        fields = value if isinstance(value, dict) else {name: value}
        words += [f"{field} {_plain(inner)}" for field, inner in fields.items()]
    return ", ".join(words)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def verdict_heading(verdict: Verdict | None) -> str:
    """The answer in a word, with its icon and colour."""
    if verdict is None:
        return "No card chosen"
    icon, color = VERDICT_MARKS[verdict]
    return f":{color}[{icon} {verdict.capitalize()}]"


def verdict_sentence(request: PlanRequest, plan: Plan) -> str:
    """What it needs, what the card offers, and where the peak falls."""
    peak = f"The peak falls {peak_place(plan)}."
    who = "It needs" if request.num_gpus == 1 else "Each card needs"
    need = f"{who} an estimated **{format_gib(plan.resident_bytes)}** (90% band {band(plan)})"
    if plan.usable_bytes is None:
        return f"{need}. {peak}"
    return f"{need}; the card offers **{format_gib(plan.usable_bytes)}**{_meaning(request, plan)}. {peak}"


def peak_place(plan: Plan) -> str:
    """Where in the step the peak falls: "in the backward pass of the head"."""
    return _PEAK_PLACES.get(plan.peak_phase) or f"in the {PHASE_NAMES[plan.peak_phase]}"


def _meaning(request: PlanRequest, plan: Plan) -> str:
    assert plan.headroom_bytes is not None
    if plan.verdict == "tight":
        wide = "" if request.names_stack else "; the band is wide because no stack is named"
        return f", within the band: {tight_text(plan)}{wide}"
    if plan.headroom_bytes < 0:
        return f", {format_gib(-plan.headroom_bytes)} too little"
    return f", which leaves {format_gib(plan.headroom_bytes)}"


def slack_title(plan: Plan) -> str:
    """The allocator's slack, as a derivation's title."""
    return f"**allocator's slack** (fitted): {format_gib(plan.slack_bytes, 3)}"


def slack_derivation(plan: Plan) -> str:
    """What is on the card beyond the ledger's terms."""
    terms = plan.peak_bytes + plan.runtime_bytes
    return (
        "slack = needed on the card - terms of the ledger\n"
        f"= {plan.needed_bytes:,} - {terms:,}\n= {plan.slack_bytes:,} bytes = {format_gib(plan.slack_bytes, 3)}"
    )


SLACK_SOURCE = (
    "Rounding and fragmentation of torch's caching allocator, as `tunebudget evidence` holds it against runs."
)


def band(plan: Plan) -> str:
    """The 90% band of what is needed, as "51.0 to 54.2"."""
    low, high = (format_gib(edge).removesuffix(" GiB") for edge in plan.resident_band)
    return f"{low} to {high}"


def short_band(plan: Plan) -> str:
    """The band where room is narrow."""
    low, high = (short_gib(edge).removesuffix(" GiB") for edge in plan.resident_band)
    return f"{low} to {high}"


def trained(plan: Plan) -> str:
    """How much is trained, and the size of what is saved."""
    total, share = format_count(plan.total_params), plan.trainable_params / max(plan.total_params, 1)
    saved = "the saved weights take" if plan.method == "full" else "the saved adapter takes"
    part = f"{format_count(plan.trainable_params)} of {total} parameters ({share:.2%})"
    counts = f"all {total} parameters" if plan.trainable_params == plan.total_params else part
    return f"Trains {counts}; {saved} {on_disk(plan.adapter_bytes)} on disk."


def suggestion_effect(suggestion: Suggestion) -> str:
    """What a suggestion leads to: verdict with its icon, need, saving, cost."""
    icon, color = VERDICT_MARKS[suggestion.verdict]  # type: ignore[index]
    saves = f", {format_gib(suggestion.saves_bytes)} less" if suggestion.saves_bytes > 0 else ""
    offers = f" of {format_gib(suggestion.usable_bytes)}" if "gpu" in suggestion.changes else ""
    offers += " on each card" if "num_gpus" in suggestion.changes else ""
    need = f"needs {format_gib(suggestion.device_bytes)}{offers}{saves}"
    return f":{color}[{icon} {suggestion.verdict}]: {need} (estimated)"


def model_facts(row: ModelRow) -> str:
    """One line on a model of the catalogue."""
    gated = "; gated on the Hub" if row.gated else ""
    return f"{format_count(row.params)} parameters; licence {row.license}{gated}"


def gpu_facts(row: GpuRow) -> str:
    """One line on a card: what is printed on the box, what a process gets."""
    if is_own(row.key):
        return f"Your own card: {format_gib(row.usable_bytes)} usable"
    return f"{row.name}: {row.memory_marketing_gb:g} GB on the box, {format_gib(row.usable_bytes)} usable"


def as_sentence(note: str) -> str:
    """A note with a capital, unless it begins with a name from code."""
    first = note.partition(" ")[0]
    return note[:1].upper() + note[1:] if first.isalpha() else note


def derivation(term: Term | ServingTerm) -> str:
    """A term's formula, the values put in, and the result."""
    lines = [f"{term.name} = {term.formula}"]
    filled = put_in(term)
    if filled != term.formula:
        lines.append(f"= {filled}")
    lines.append(f"= {term.bytes:,} bytes = {term.bytes / GB:.4g} GB = {format_gib(term.bytes, 3)}")
    return "\n".join(lines)


def put_in(term: Term | ServingTerm) -> str:
    """The formula with each symbol replaced by its value."""

    def value(match: re.Match[str]) -> str:
        given = term.inputs.get(match.group())
        return match.group() if given is None else number(given)

    return re.sub(r"[A-Za-z_]\w*", value, term.formula)


def lifetime(term: Term) -> str:
    """From which phase to which a term is live."""
    return f"Live from {PHASE_NAMES[term.born]} to {PHASE_NAMES[term.freed]}."


def breakdown_alt(plan: Plan) -> str:
    """The breakdown's takeaway, for those who cannot see it."""
    shares = sorted(((getattr(plan, f"{c}_bytes"), c) for c in ("weights", "activations", "logits")), reverse=True)
    (largest, name), _, _ = shares
    card = f" against the {format_gib(plan.usable_bytes)} the card offers" if plan.usable_bytes is not None else ""
    return (
        f"Stacked bar of the estimated {format_gib(plan.needed_bytes)}{card}; "
        f"the {name} take {format_gib(largest)} of it."
    )


def timeline_alt(plan: Plan) -> str:
    """The timeline's takeaway."""
    return (
        f"Stacked bars of live memory over the {len(plan.timeline)} phases of one training step; "
        f"the peak, {format_gib(plan.peak_bytes + plan.runtime_bytes)}, falls in the {PHASE_NAMES[plan.peak_phase]}."
    )
