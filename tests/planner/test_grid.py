"""Plans over arrays are the plans, one by one: peaks, what the device shows, the band and the verdict on each card."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import find_gpu, list_gpus
from planner.estimate import VERDICTS, estimate
from planner.grid import on_cards, tensors
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


@bounded(25)
@given(requests(models=configs(), device="cuda"), st.lists(st.sampled_from([g.key for g in list_gpus()]), min_size=1))
def test_the_grid_on_cards_is_the_plans(fields: Fields, cards: list[str]) -> None:
    same(fields, cards[:3])


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "full", "num_gpus": 8, "parallelism": {"strategy": "fsdp"}},
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
