"""Plans over arrays are the plans, one by one: peaks, what the device shows, the band and the verdict on each card."""

from dataclasses import fields as dataclass_fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import find_gpu, list_gpus
from planner.catalog.rows.gpu import GpuRow
from planner.cost.rate import rate_of
from planner.estimate import VERDICTS, estimate
from planner.grid import on_cards, tensors
from planner.grid_cost import costs
from planner.grid_time import times
from planner.schema import parse_request
from tests.planner.memory.strategies import Fields, bounded, configs, requests

BATCHES, LENGTHS = (1, 3, 40), (1, 17, 150, 5000)


def same(fields: Fields, cards: list[str]) -> None:
    """Every figure of every plan is the grid's."""
    request = parse_request({name: value for name, value in fields.items() if name != "gpu"})
    plans = tensors(request, np.array(BATCHES)[:, None], np.array(LENGTHS))
    found = on_cards(plans, [find_gpu(card) for card in cards])
    for (k, i, j), peak in np.ndenumerate(found.peak_bytes):
        cell = {"gpu": cards[k], "per_device_train_batch_size": BATCHES[i], "max_length": LENGTHS[j]}
        plan = estimate(parse_request(fields | cell))
        assert int(peak) == plan.peak_bytes, cell
        for name in ("reserved_bytes", "device_bytes", "low_bytes", "high_bytes", "headroom_bytes"):
            assert int(getattr(found, name)[k, i, j]) == getattr(plan, name), (name, cell)
        assert VERDICTS[found.verdict[k, i, j]] == plan.verdict, cell
    same_time_and_cost(fields, [find_gpu(card) for card in cards])


def same_time_and_cost(fields: Fields, cards: list[GpuRow]) -> None:
    """On one axis of cells: every time and cost of every plan is the grid's."""
    request = parse_request({name: value for name, value in fields.items() if name != "gpu"})
    batches, lengths = (axis.reshape(-1) for axis in np.meshgrid(BATCHES, LENGTHS))
    plans = tensors(request, batches, lengths)
    timed = times(plans, on_cards(plans, cards), cards)
    cost = costs(request.dataset, timed, [rate_of(request, card) for card in cards])
    for (k, i), seconds in np.ndenumerate(timed.step_seconds):
        cell = {"gpu": cards[k].key, "per_device_train_batch_size": int(batches[i]), "max_length": int(lengths[i])}
        plan = estimate(parse_request(fields | cell))
        if plan.step_seconds is None:
            assert np.isnan(seconds), cell
            continue
        for figures in (timed, cost):
            for name in (field.name for field in dataclass_fields(figures)):
                known = getattr(plan, name)
                expected = np.nan if known is None else known
                assert getattr(figures, name)[k, i] == pytest.approx(expected, rel=1e-9, nan_ok=True), (name, cell)


@bounded(25)
@given(requests(models=configs(), device="cuda"), st.lists(st.sampled_from([g.key for g in list_gpus()]), min_size=1))
def test_the_grid_on_cards_is_the_plans(fields: Fields, cards: list[str]) -> None:
    same(fields, cards[:3])


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "full", "num_gpus": 8, "parallelism": {"strategy": "fsdp"}, "dataset": {"num_tokens": 10**7}},
        {"method": "qlora", "optim": "paged_adamw_32bit"},
        {"method": "prompt_tuning", "prompt": {"num_virtual_tokens": 50}},
        {"method": "prefix_tuning"},
        {"method": "lora", "parallelism": {"activation_offloading": True}},
        {"method": "lora", "num_gpus": 4, "parallelism": {"strategy": "ddp", "pipeline_parallel_size": 2}},
        {"method": "lora", "gradient_accumulation_steps": 4, "padding": "padded", "stack": "trl"},
    ],
)
def test_spread_paged_and_stacked_runs_too(fields: Fields) -> None:
    same({"model": "llama-3.2-1b"} | fields, ["t4", "h100", "rtx-4090"])
