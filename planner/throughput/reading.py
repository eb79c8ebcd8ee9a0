"""How a request's step is run where it leaves that open."""

from planner.schema import PlanRequest

_AUTOCAST = {"bfloat16": "bf16", "float16": "fp16"}

#: What a plan says of it.
AUTOCAST_NOTE = (
    "the step is timed under autocast, as most trainers run adapters; where the request names its stack, it is timed "
    "with mixed_precision as given"
)


def as_run(request: PlanRequest) -> PlanRequest:
    """The request as it is timed.

    Where no stack is named and weights are in 16 bits, adapters run under autocast: most trainers set bf16 or fp16, and
    without it PEFT's float32 adapters multiply in float32 (peft 0.21 tuners/lora/layer.py Linear.forward), which few
    published runs do. Memory is planned as the request says.
    """
    if request.names_stack or request.method == "full" or request.mixed_precision != "no":
        return request
    autocast = _AUTOCAST.get(request.dtype)
    return request if autocast is None else request.model_copy(update={"mixed_precision": autocast})
