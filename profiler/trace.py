"""The same training steps on fake tensors: what the libraries' code allocates, without weights and without a GPU.

    python -m profiler.trace REQUESTS.jsonl [--id ID] [--live] [--events] [--num-layers N] [--whole]

A deep model is traced at two shallow depths and extrapolated place by place (profiler/extrapolate.py).
"""

from collections.abc import Callable
from typing import Any

from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from planner.errors import RequestError
from planner.schema import PlanRequest
from profiler.build import build_model, check_supported, trainable_parameters
from profiler.configs import build_config, num_layers_of
from profiler.extrapolate import extrapolate
from profiler.fake import fake_world, make_fake, real_tensors
from profiler.measure import follow_steps
from profiler.measured import Measured
from profiler.optimizers import build_optimizer
from profiler.slices import find_slices

#: Told how far a trace is: parts done, parts in all, and what comes now.
Say = Callable[[int, int, str], None]


def trace(
    request: PlanRequest, num_layers: int | None = None, whole: bool = False, say: Say = lambda *_: None
) -> Measured:
    """Trace a request: all its layers, the first num_layers, or two slices that stand for them (the default)."""
    config = build_config(request, num_layers)
    notes = check_supported(request, config, traced=True)
    slices = None if whole or num_layers is not None else find_slices(request, config)
    if slices is None:
        say(1, 2, f"tracing {num_layers_of(config)} layers")
        return trace_config(request, config, notes)
    say(1, 3, f"tracing {slices.small} layers")
    small = trace_config(request, build_config(request, slices.small), notes)
    say(2, 3, f"tracing {slices.large} layers")
    large = trace_config(request, build_config(request, slices.large), notes)
    return extrapolate(small, large, slices)


def trace_config(request: PlanRequest, config: Any, notes: tuple[str, ...]) -> Measured:
    """Trace a model of this config, all its layers."""
    model = build_model(request, config, device="meta")
    with fake_world():
        make_fake(model)
        with real_tensors():  # bitsandbytes reads the values of quantization maps that it makes here
            optimizer = build_optimizer(request.optim, trainable_parameters(model), foreach=request.device == "cuda")
        try:
            return follow_steps(request, model, optimizer, config.get_text_config().vocab_size, notes)
        except (DynamicOutputShapeException, DataDependentOutputException) as error:
            raise RequestError(
                f"model_type {config.model_type!r} sizes tensors by their values ({error.func}): "
                "it can be measured, not traced",
                "model",
            ) from error


def main() -> None:
    """The developer's entry."""
    from profiler.entry import run_entry

    run_entry("profiler.trace", __doc__ or "", trace, layers=True)


if __name__ == "__main__":
    main()
