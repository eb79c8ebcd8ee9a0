"""Two real processes over gloo: what DDP and FSDP2 leave on each rank, against counts worked out by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `profiler`")

from planner.estimate import estimate  # noqa: E402
from planner.schema import PlanRequest  # noqa: E402
from tests.profiler.recipes import request  # noqa: E402

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parents[2]
H, MLP, V, KV, LAYERS, R, RANKS = 128, 320, 1000, 64, 2, 16, 2
LINEARS = ((H, H), (H, KV), (H, KV), (H, H), (H, MLP), (H, MLP), (MLP, H))
PARAMS = sum(a * b for a, b in LINEARS) * LAYERS + 2 * V * H + (2 * LAYERS + 1) * H
ADAPTERS = sum((a + b) * R for a, b in LINEARS) * LAYERS
TENSORS = (len(LINEARS) + 2) * LAYERS + 3
ROTARY = 2 * 16 * 4  # inv_freq and original_inv_freq stay whole on every rank


def spread(strategy: str, **fields: Any) -> PlanRequest:
    """A small request for two processes, named by its strategy and method."""
    name = f"{strategy} {fields.get('method', 'full')}"
    return request(id=name, num_gpus=RANKS, parallelism={"strategy": strategy}, **fields)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """All requests in one launch: starting two processes with torch and transformers takes longer than the steps."""
    path = tmp_path_factory.mktemp("spread") / "requests.jsonl"
    requests = [
        spread("ddp"),
        spread("fsdp"),
        spread("fsdp", method="lora"),
        request(id="alone", num_gpus=4, parallelism={"strategy": "ddp"}),
        request(id="zero3 full", num_gpus=RANKS, parallelism={"strategy": "zero3"}),
    ]
    path.write_text("".join(f"{r.model_dump_json(exclude_none=True)}\n" for r in requests))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(RANKS)]
    done = subprocess.run(
        [*launcher, "-m", "profiler.distributed", str(path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {line["id"]: line.get("answer", line) for line in lines}


def each(answer: dict[str, Any], name: str) -> set[int]:
    assert [rank["rank"] for rank in answer["ranks"]] == list(range(RANKS))
    return {rank[name] for rank in answer["ranks"]}


def test_ddp_holds_a_copy_and_its_buckets_on_each_rank(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers["ddp full"]
    assert each(answer, "weights_bytes") == {2 * PARAMS + ROTARY}
    buckets, states = 2 * PARAMS, 4 * PARAMS + 4 * TENSORS
    ids = 2 * 48 * 8
    assert answer["steady_bytes"] - (2 * PARAMS + ROTARY + buckets + states) in (0, ids)


def test_fsdp_holds_half_of_everything_on_each_rank(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers["fsdp full"]
    assert each(answer, "weights_bytes") == {PARAMS + ROTARY}
    states = 2 * PARAMS + 4 * TENSORS
    assert answer["steady_bytes"] - (PARAMS + ROTARY + states) in (0, 2 * 48 * 8)
    assert answer["peak_bytes"] < answers["ddp full"]["peak_bytes"]


def test_fsdp_shards_frozen_weights_and_adapters_alike(answers: dict[str, dict[str, Any]]) -> None:
    answer = answers["fsdp lora"]
    assert each(answer, "weights_bytes") == {PARAMS + 4 * ADAPTERS // RANKS + ROTARY}


@pytest.mark.parametrize("name", ["ddp full", "fsdp full", "fsdp lora"])
def test_the_plan_equals_what_the_ranks_held(answers: dict[str, dict[str, Any]], name: str) -> None:
    strategy, method = name.split()
    plan, measured = estimate(spread(strategy, method=method)), answers[name]
    assert plan.weights_bytes == measured["weights_bytes"]
    assert plan.steady_bytes == pytest.approx(measured["steady_bytes"], abs=16)
    assert plan.peak_bytes == pytest.approx(measured["peak_bytes"], abs=16)


def test_other_processes_and_other_strategies_are_refused_and_the_rest_goes_on(
    answers: dict[str, dict[str, Any]],
) -> None:
    assert answers["alone"]["error"]["field"] == "num_gpus"
    assert answers["zero3 full"]["error"]["field"] == "parallelism.strategy"
