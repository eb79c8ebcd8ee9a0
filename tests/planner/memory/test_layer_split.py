"""Layers on cards in a row (device_map), against counts worked out by hand."""

from typing import Any

import pytest

from planner.answer import Plan
from planner.errors import PlannerError
from planner.estimate import estimate
from planner.grid import peak_bytes_grid
from planner.memory.layer_split import LoadedSizes, Placement, place
from planner.memory.pipeline import staged
from planner.prepare import prepare
from planner.schema import PlanRequest, parse_request

H, MLP, V, LAYERS = 512, 1280, 4000, 8
LLAMA = {
    "model_type": "llama", "hidden_size": H, "intermediate_size": MLP, "num_hidden_layers": LAYERS,
    "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": V,
}  # fmt: skip
LAYER = 2 * (4 * H * H + 3 * H * MLP + 2 * H)  # bytes
ROTARY = 2 * 4 * 32
HEAD = 2 * V * H


def asked(cards: int = 2, strategy: str = "device_map", **fields: Any) -> PlanRequest:
    spread = {"num_gpus": cards, "parallelism": {"strategy": strategy}}
    return parse_request({"model": LLAMA, "method": "full", "max_length": 64, **spread, **fields})


def plan(cards: int = 2, **fields: Any) -> Plan:
    found = estimate(asked(cards, **fields))
    assert sum(t.bytes for t in found.terms) == found.peak_bytes + found.runtime_bytes
    return found


SIZES = LoadedSizes(embedding=100, layer=50, rest=1, head=100, leaf=100)


def test_cards_are_filled_in_the_order_of_the_layers() -> None:
    # 20 layers: 1,201 bytes in all, 600 a card and 125 to spare; on the first the embedding and room for the head
    assert place(SIZES, 20, 2, False, False) == Placement(((725 - 200) // 50, 10), 1)
    # 400 a card and 125 to spare
    assert place(SIZES, 20, 3, False, False) == Placement(((525 - 200) // 50, 525 // 50, 4), 2)


def test_quantizers_leave_a_tenth_of_each_share() -> None:
    assert place(SIZES, 20, 2, True, False) == Placement(((652 - 200) // 50, 11), 1)


def test_a_tied_head_stays_with_the_embedding() -> None:
    tied = LoadedSizes(embedding=100, layer=50, rest=1, head=0, leaf=100)
    assert place(tied, 20, 2, False, True) == Placement(((550 + 125 - 150) // 50, 10), 0)


def test_a_head_that_no_longer_fits_goes_on_to_the_next_card() -> None:
    large = LoadedSizes(embedding=1000, layer=50, rest=1, head=1000, leaf=1000)
    found = place(large, 20, 3, False, False)  # 3,001 in all: 1,000 a card and 1,250 to spare
    assert found == Placement(((2250 - 2000) // 50, 15, 0), 1)
    # 5,001 in all: 1,667 a card and 1,250 to spare; with 42 layers and the norm the second has no room for the head
    assert place(large, 60, 3, False, False) == Placement(((2917 - 2000) // 50, 42, 0), 2)


def test_a_card_has_its_layers_and_its_end_of_the_model() -> None:
    # 8 layers, 2 cards: half of all and 1.25 layers (the head is smaller); the first has room left for one layer
    share = (LAYERS * LAYER + 2 * HEAD + 2 * H + ROTARY) // 2 + int(1.25 * LAYER)
    first = (share - HEAD - LAYER) // LAYER
    assert first == 4
    assert plan(per_device_train_batch_size=4).weights_bytes == 4 * LAYER + HEAD + 2 * H + ROTARY  # the last card
    assert plan().total_params == plan(1, parallelism={"strategy": "none"}).total_params


def test_two_cards_need_less_than_one_and_more_than_half() -> None:
    for fields in ({}, {"gradient_checkpointing": True}, {"method": "lora"}, {"method": "qlora"}):
        one = plan(1, parallelism={"strategy": "none"}, **fields).peak_bytes
        two = plan(2, **fields).peak_bytes
        assert one / 2 < two < one


def test_the_logits_come_back_to_the_first_card() -> None:
    """In float32 too where accelerate converts them; the card with the head has more, so it is asked for by itself."""
    stacked, prepared = prepare(asked(method="lora", mixed_precision="bf16", per_device_train_batch_size=2))
    first = next(stage for stage, _ in prepared.stages if stage.role == "first")
    step = prepared.step(2, 64, False)
    requests = (stacked.request, stacked.request.model_copy(update={"loss": "fused"}))  # which returns none
    full, none = (next(m for m in staged(step, first, r).moments() if m.phase == "loss") for r in requests)
    assert full.bytes - none.bytes == (2 + 4) * 2 * 64 * V


def test_cards_work_one_after_another() -> None:
    fields: dict[str, Any] = {"model": "llama-3.1-8b", "method": "lora", "gpu": "a100-80gb-sxm", "max_length": 1024}
    one = estimate(parse_request(fields))
    two = estimate(parse_request({**fields, "num_gpus": 2, "parallelism": {"strategy": "device_map"}}))
    assert one.step_seconds is not None and two.step_seconds is not None
    assert 0.9 * one.step_seconds < two.step_seconds < 1.1 * one.step_seconds
    assert two.tokens_per_second is not None and one.mfu is not None and two.mfu is not None
    assert two.tokens_per_second * two.step_seconds == pytest.approx(1024)
    assert two.mfu == pytest.approx(one.mfu / 2, rel=0.1)


def test_a_grid_holds_the_same_peaks() -> None:
    grid = peak_bytes_grid(asked(3), [1, 8], [64, 4096])
    for at, (batch, length) in enumerate(((1, 64), (8, 4096))):
        one = asked(3, per_device_train_batch_size=batch, max_length=length)
        assert grid[at] == estimate(one).peak_bytes


def test_one_process_has_no_nccl() -> None:
    assert "NCCL buffers" not in {t.name for t in plan(gpu="h100").terms}
    assert any("one after another" in note for note in plan().notes)


@pytest.mark.parametrize(
    ("fields", "fragment"),
    [
        ({"num_gpus": 1}, "at least two cards"),
        ({"device": "cpu"}, "at least two cards"),
        ({"num_gpus": 4, "parallelism": {"strategy": "device_map", "tensor_parallel_size": 2}}, "by layers alone"),
        ({"model": "google-t5/t5-small"}, "several stacks"),
    ],
)
def test_what_cannot_be_is_one_line(fields: dict[str, Any], fragment: str) -> None:
    base = {"model": LLAMA, "method": "full", "num_gpus": 2, "parallelism": {"strategy": "device_map"}}
    with pytest.raises(PlannerError, match=fragment):
        estimate(parse_request(base | fields))
