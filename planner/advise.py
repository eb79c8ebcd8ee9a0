"""The smallest changes that make a run fit, ranked by what they cost in time, quality or money."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from planner.answer import Plan
from planner.catalog import list_gpus
from planner.errors import PlannerError
from planner.estimate import compute_memory, needed_bytes, verdict
from planner.schema import PlanRequest, parse_request


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One change (or a few that only help together), with what it saves and costs.

    changes: fields of the request, nested for sub-models. device_bytes: what must stay on the card after the change,
    without paged optimizer states; saves_bytes: how much less of it; verdict: after the change.
    """

    label: str
    changes: dict[str, object]
    saves_bytes: int
    device_bytes: int
    usable_bytes: int
    verdict: str
    price: str


@dataclass(frozen=True, slots=True)
class _Change:
    label: str
    changes: dict[str, object]
    price: str


MAX_COMBINED = 4


def advise(request: PlanRequest, plan: Plan) -> tuple[Suggestion, ...]:
    """Changes that make the run fit; the least disruptive first, then combinations, then other methods and cards.

    Each single change that saves memory is listed; where none is enough, the shortest chain of them that is.
    Empty where the plan fits, or no card is named.
    """
    if plan.verdict in (None, "fits"):
        return ()
    single = [
        s
        for c in (*_settings(request), *_shorter(request))
        if (s := _try(request, plan, c)) is not None and _helps(s, plan)
    ]
    chain = None if any(s.verdict == "fits" for s in single) else _chain(request, plan)
    cards = [s for s in (_smallest_card(request, plan), _more_cards(request, plan)) if s is not None]
    beyond = _beyond(request, plan, chain, {s.changes.get("gpu") for s in cards})
    others = [s for c in _methods(request) if (s := _try(request, plan, c)) is not None and _helps(s, plan)]
    found = [*single, *([chain] if chain else []), *others, *cards, *beyond]
    return tuple(sorted(found, key=lambda s: s.verdict != "fits"))


#: A change that saves less than this share of what the run needs is no advice.
MIN_SAVING_SHARE = 0.002


def _helps(suggestion: Suggestion, plan: Plan) -> bool:
    return suggestion.saves_bytes > MIN_SAVING_SHARE * plan.device_bytes


def apply_changes(request: PlanRequest, changes: dict[str, object]) -> PlanRequest:
    """The request with changes put in, sub-models merged; settings that the new method does not have are dropped.

    Raises RequestError where the result breaks a rule.
    """
    data = request.model_dump(exclude_unset=True)
    for name, new in changes.items():
        old = data.get(name)
        data[name] = {**old, **new} if isinstance(old, dict) and isinstance(new, dict) else new
    if data["method"] == "full":
        data.pop("lora", None)
    if data["method"] != "qlora":
        data.pop("quantization", None)
    return parse_request(data)


def _try(request: PlanRequest, plan: Plan, change: _Change) -> Suggestion | None:
    try:
        memory = compute_memory(apply_changes(request, change.changes))
    except PlannerError:
        return None
    if memory.gpu is None:
        return None
    return Suggestion(
        label=change.label,
        changes=change.changes,
        saves_bytes=_needed(plan) - needed_bytes(memory),
        device_bytes=needed_bytes(memory),
        usable_bytes=memory.gpu.usable_bytes,
        verdict=verdict(memory) or "",
        price=change.price,
    )


def _needed(plan: Plan) -> int:
    """What must stay on the card before any change."""
    assert plan.usable_bytes is not None and plan.headroom_bytes is not None
    return plan.usable_bytes - plan.headroom_bytes


def _chain(request: PlanRequest, plan: Plan) -> Suggestion | None:
    """The settings taken one after the other until the run fits, shorter sequences only where they make it fit.

    None where fewer than two of them help.
    """
    taken: list[_Change] = []
    best = _needed(plan)
    for change in _settings(request):
        if len(taken) == MAX_COMBINED or any(change.changes.keys() & other.changes.keys() for other in taken):
            continue
        tried = _try(request, plan, _together([*taken, change]))
        if tried is None or best - tried.device_bytes <= MIN_SAVING_SHARE * best:
            continue
        taken, best = [*taken, change], tried.device_bytes
        if tried.verdict == "fits":
            break
    found = _try(request, plan, _together(taken)) if len(taken) > 1 else None
    for change in _shorter(request):
        tried = _try(request, plan, _together([*taken, change])) if taken else None
        if tried is not None and tried.verdict == "fits" and (found is None or found.verdict != "fits"):
            return tried
    return found


def _together(changes: Sequence[_Change]) -> _Change:
    """Several changes as one."""
    merged: dict[str, object] = {}
    for change in changes:
        merged |= change.changes
    labels = [c.label if i == 0 else c.label[0].lower() + c.label[1:] for i, c in enumerate(changes)]
    return _Change(", ".join(labels), merged, "the costs of each together")


def _beyond(request: PlanRequest, plan: Plan, chain: Suggestion | None, offered: set[object]) -> list[Suggestion]:
    """Where the chain is not enough: the smallest card, and the fewest cards, on which it is."""
    if chain is None or chain.verdict == "fits":
        return []
    found = []
    for change in (_smallest_card, _more_cards):
        added = change(apply_changes(request, chain.changes), plan)
        if added is None or added.changes.get("gpu", "") in offered:
            continue
        label = f"{added.label} with: {chain.label[0].lower()}{chain.label[1:]}"
        together = _Change(label, {**chain.changes, **added.changes}, f"{added.price}, and {chain.price}")
        tried = _try(request, plan, together)
        found += [tried] if tried is not None else []
    return found


def _settings(request: PlanRequest) -> Iterable[_Change]:
    """Changes that leave the training objective alone, the cheapest first."""
    if request.loss == "full":
        yield _Change("Chunked loss", {"loss": "chunked"}, "no loss of quality; needs a stack that has it")
    if not request.gradient_checkpointing:
        yield _Change("Gradient checkpointing", {"gradient_checkpointing": True}, "about a third more compute")
    if request.attn_implementation == "eager":
        yield _Change("SDPA attention", {"attn_implementation": "sdpa"}, "none: it is faster too")
    batch = request.per_device_train_batch_size
    if batch > 1:
        steps = request.gradient_accumulation_steps * batch
        yield _Change(
            f"Batch 1, accumulated over {steps} steps",
            {"per_device_train_batch_size": 1, "gradient_accumulation_steps": steps},
            "the same batch in total; less throughput",
        )
    yield from _optimizers(request)
    if request.upcasts_unquantized:
        yield _Change(
            "Keep embeddings, head and norms in 16 bits",
            {"quantization": {"upcast_unquantized": False}},
            "needs a stack that skips prepare_model_for_kbit_training's upcast",
        )


def _shorter(request: PlanRequest) -> Iterable[_Change]:
    if request.max_length > 512:
        half = request.max_length // 2
        yield _Change(f"Sequences of {half:,} tokens", {"max_length": half}, "longer examples are cut or split")


def _optimizers(request: PlanRequest) -> Iterable[_Change]:
    if request.optim in ("adamw_torch", "adamw_torch_fused", "paged_adamw", "paged_adamw_32bit"):
        yield _Change("8-bit AdamW", {"optim": "adamw_bnb_8bit"}, "states in 8 bits; published runs show no loss")
    if request.optim != "paged_adamw_8bit":
        yield _Change(
            "Paged 8-bit AdamW", {"optim": "paged_adamw_8bit"}, "states may move to host memory; slower when they do"
        )


def _methods(request: PlanRequest) -> Iterable[_Change]:
    """Other ways of training, which change what is learnt."""
    save: dict[str, object] = {} if request.gradient_checkpointing else {"gradient_checkpointing": True}
    also = ", with gradient checkpointing" if save else ""
    if request.method == "full":
        yield _Change(f"LoRA instead of full fine-tuning{also}", {"method": "lora", **save}, "trains adapters only")
    if request.method != "qlora":
        yield _Change(f"QLoRA: a 4-bit base{also}", {"method": "qlora", **save}, "4-bit base, slower steps")


def _smallest_card(request: PlanRequest, plan: Plan) -> Suggestion | None:
    """The card with the least memory on which the run fits as it is."""
    assert plan.usable_bytes is not None
    # what is needed hardly depends on the card: cards that are clearly too small are not tried one by one
    at_least = max(plan.usable_bytes + 1, int(0.95 * needed_bytes(compute_memory(request))))
    for gpu in sorted(list_gpus(), key=lambda g: g.usable_bytes):
        if gpu.usable_bytes < at_least or gpu.vendor != "nvidia":
            continue
        tried = _try(request, plan, _Change(f"One {gpu.name}", {"gpu": gpu.key}, "another card"))
        if tried is not None and tried.verdict == "fits":
            return tried
    return None


def _more_cards(request: PlanRequest, plan: Plan) -> Suggestion | None:
    """The fewest cards of the same kind (2, 4 or 8) over which full sharding makes the run fit."""
    for count in (2, 4, 8):
        if count <= request.num_gpus:
            continue
        changes: dict[str, object] = {"num_gpus": count, "parallelism": {"strategy": "fsdp"}}
        tried = _try(request, plan, _Change(f"{count} cards with FSDP", changes, f"{count} times the price an hour"))
        if tried is not None and tried.verdict == "fits":
            return tried
    return None
