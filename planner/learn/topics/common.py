"""What several topics show: the reader's question and cells of tables."""

from typing import Any

from planner.catalog.references import find_reference
from planner.errors import RequestError
from planner.learn.blocks import Grid
from planner.learn.cases import Case
from planner.learn.facts import Facts
from planner.memory.inventory import Item

METHOD_NAMES = {
    "full": "full fine-tuning",
    "lora": "LoRA",
    "qlora": "QLoRA",
    "dora": "DoRA",
    "adalora": "AdaLoRA",
    "ia3": "(IA)^3",
    "prompt_tuning": "prompt tuning",
    "prefix_tuning": "prefix tuning",
    "p_tuning": "p-tuning",
}


def put_question(facts: Facts, case: Case, has_batch: bool = True) -> None:
    """The request as the texts say it; without the batch where the letters stand for something else."""
    request = case.request
    if has_batch:
        facts.take("request", request, "count", B="per_device_train_batch_size", S="max_length")
    facts.put("method_name", METHOD_NAMES[request.method], "text", "request: method")
    short = request.model if isinstance(request.model, str) else case.plan.model
    facts.put("model_short", short.rpartition("/")[2], "text", "request: model")
    flag = " --gradient-checkpointing" if request.gradient_checkpointing else ""
    facts.put("checkpointing_flag", flag, "text", "request: gradient_checkpointing")
    facts.flag(checkpointing=request.gradient_checkpointing)


def quantized_of(case: Case) -> list[Item]:
    """The weights that are kept as 4-bit codes.

    Raises RequestError for a model whose linears bitsandbytes passes by.
    """
    items = [item for item in case.items if item.role == "linear_4bit"]
    if not items:
        kind = case.architecture.model_type
        raise RequestError(f"model: bitsandbytes quantizes no linear layer of this {kind} model: take another", "model")
    return items


def cell(facts: Facts, name: str, value: Any, unit: str, origin: str) -> str:
    """A cell of a table: its value is declared as every other."""
    facts.put(name, value, unit, origin)
    return facts[name].shown()


def put_shapes(facts: Facts, adapters: list[Item], rank: int) -> None:
    """One layer's shape, and those of all; of stacks of experts no formula of a layer holds."""
    ins = [i for i in adapters if i.name.endswith(".lora_A")]
    outs = [i for i in adapters if i.name.endswith(".lora_B")]
    is_plain = all(a.shape[0] == rank for a in ins) and len(ins) + len(outs) == len(adapters)
    first = next(i for i, a in enumerate(ins) if a.shape[0] == rank)
    facts.flag(is_plain=is_plain)
    facts.put("example", ins[first].name.removesuffix(".lora_A").rpartition(".*.")[2], "text", "architecture: a linear")
    facts.put("d", outs[first].shape[0], "count", "architecture: out_features")
    facts.put("k", ins[first].shape[1], "count", "architecture: in_features")
    if is_plain:
        facts.put("c", tuple(a.count for a in ins), "count", "architecture: layers")
        facts.put("d_each", tuple(b.shape[0] for b in outs), "count", "architecture: out_features")
        facts.put("k_each", tuple(a.shape[1] for a in ins), "count", "architecture: in_features")
    else:
        facts.put("N_lora", sum(i.elements for i in adapters), "count", "architecture: adapters")


def published(facts: Facts, *keys: str) -> Grid:
    """What works say, in their own words."""
    rows = []
    for key in keys:
        row = find_reference(key)
        facts.put(f"quote_{key}", row.quote, "text", f"cited: {key}")
        facts.put(f"work_{key}", _short_work(row.work), "text", f"cited: {key}")
        rows.append((f"{_short_work(row.work)}, {row.where}", f'"{row.quote}"'))
    for row in map(find_reference, keys):
        if f"where_{row.where}" not in facts:
            facts.put(f"where_{row.where}", row.where, "text", f"cited: {row.key}")
    return Grid(("work", "in its words"), tuple(rows))


def _short_work(work: str) -> str:
    """Authors and year: up to the first comma."""
    return work.partition(",")[0]
