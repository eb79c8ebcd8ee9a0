"""Runs over several processes: what is refused before they start, and what starts them."""

from pathlib import Path
from typing import Any

import pytest

from planner.errors import PlannerError
from planner.runs.spread import launcher, profile_spread
from planner.runs.start import Listener, Options
from planner.schema import parse_request
from tests.profiler.recipes import LLAMA


def refusal(parallelism: dict[str, Any], memory_limit_bytes: int | None = None) -> PlannerError:
    pytest.importorskip("psutil", reason="needs the extra `profiler`")
    data = {"model": LLAMA, "method": "lora", "device": "cpu", "num_gpus": 2, "parallelism": parallelism}
    with pytest.raises(PlannerError) as found:
        profile_spread(parse_request(data), Options(memory_limit_bytes=memory_limit_bytes), Listener())
    return found.value


@pytest.mark.parametrize("parallelism", [{"strategy": "zero3"}, {"tensor_parallel_size": 2}])
def test_other_strategies_are_refused_before_anything_starts(parallelism: dict[str, Any]) -> None:
    assert refusal(parallelism).field == "parallelism.strategy"


def test_what_would_exhaust_the_machine_is_refused() -> None:
    error = refusal({"strategy": "ddp"}, 2**20)
    assert error.field == "num_processes"
    assert "--force" in error.message and "\n" not in error.message


def test_torchrun_starts_the_ranks() -> None:
    command = launcher(2, Path("request.json"))
    assert command[:2] == ("-m", "torch.distributed.run")
    assert command[-3:] == ("-m", "profiler.distributed", "request.json")
    assert command[command.index("--nproc-per-node") + 1] == "2"
