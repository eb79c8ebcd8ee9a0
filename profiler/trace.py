"""The same training steps on fake tensors: what the libraries' code allocates, without weights and without a GPU.

    python -m profiler.trace REQUESTS.jsonl [--id ID] [--live]
"""

import sys
from dataclasses import dataclass

from planner.schema import PlanRequest
from profiler.build import build_config, build_model, build_optimizer, trainable_parameters
from profiler.fake import fake_world, make_fake, real_tensors
from profiler.measure import Measured, follow_steps, run_entry


def trace(request: PlanRequest, num_layers: int | None = None) -> Measured:
    """Trace the request's model, all its layers or the first num_layers of them."""
    config = build_config(request, num_layers)
    model = build_model(request, config, device="meta")
    with fake_world():
        make_fake(model)
        with real_tensors():  # bitsandbytes reads values of the quantization maps that it makes here
            optimizer = build_optimizer(request.optim, trainable_parameters(model))
        return follow_steps(request, model, optimizer, config.get_text_config().vocab_size)


def main() -> None:
    """The developer's entry."""
    run_entry("profiler.trace", __doc__ or "", trace)


if __name__ == "__main__":
    sys.exit(main())
