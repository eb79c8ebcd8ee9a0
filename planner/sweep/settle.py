"""One combination of a table as a request: other methods' settings left out, cards shared in a way that exists."""

from typing import Any

from pydantic import ValidationError

from planner.parallelism import FULLY_SHARDED, ParallelismSettings
from planner.schema import LORA_METHODS, PROMPT_METHODS, PlanRequest, parse_request

Fields = dict[str, Any]

#: How several cards share, where nothing is said: all weights, gradients and states in parts.
SHARDED = "fsdp"
_SINGLE = ("ddp", *FULLY_SHARDED, "device_map")


def settled(base: Fields, model: str, method: str, count: int) -> PlanRequest:
    """The request of one combination on `count` cards.

    Several cards without a strategy are fully sharded, one card takes none of the strategies that need two.

    Raises RequestError where the combination cannot exist.
    """
    fields = {name: value for name, value in base.items() if name not in _unused(method)}
    fields |= {"model": model, "method": method, "num_gpus": count}
    fields["parallelism"] = _shared(base.get("parallelism", {}), count)
    return parse_request(fields)


def _unused(method: str) -> set[str]:
    """Sections of settings that are another method's."""
    sections = {"lora": LORA_METHODS, "prompt": PROMPT_METHODS, "quantization": ("qlora",)}
    return {name for name, methods in sections.items() if method not in methods}


def _shared(given: Fields, count: int) -> Fields:
    """The section `parallelism` for so many cards."""
    strategy = given.get("strategy", "none")
    try:
        sizes = ParallelismSettings.model_validate(given)
    except ValidationError:
        return given  # the request says what is wrong with it
    if count == 1 and strategy in _SINGLE:
        strategy = "none"
    if strategy == "none" and count // sizes.model_parallel_size > 1:
        strategy = SHARDED
    return given | {"strategy": strategy}
