"""What several topics show: the reader's question and cells of tables."""

from typing import Any

from planner.learn.cases import Case
from planner.learn.facts import Facts

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


def put_question(facts: Facts, case: Case) -> None:
    """The request as the texts say it."""
    request = case.request
    facts.take("request", request, "count", B="per_device_train_batch_size", S="max_length")
    facts.put("method_name", METHOD_NAMES[request.method], "text", "request: method")
    short = request.model if isinstance(request.model, str) else case.plan.model
    facts.put("model_short", short.rpartition("/")[2], "text", "request: model")
    flag = " --gradient-checkpointing" if request.gradient_checkpointing else ""
    facts.put("checkpointing_flag", flag, "text", "request: gradient_checkpointing")
    facts.flag(checkpointing=request.gradient_checkpointing)


def cell(facts: Facts, name: str, value: Any, unit: str, origin: str) -> str:
    """A cell of a table: its value is declared as every other."""
    facts.put(name, value, unit, origin)
    return facts[name].shown()
