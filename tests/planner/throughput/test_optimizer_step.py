"""Bytes of an update, counted by hand."""

import pytest

from planner.prepare import prepare
from planner.throughput.optimizer_step import update_of
from tests.planner.throughput.asks import asked


def traffic(**fields: object) -> tuple[int, int]:
    stacked, prepared = prepare(asked(**fields))
    update = update_of(stacked.request, prepared.static)
    return update.bytes, update.elements


@pytest.mark.parametrize(
    ("optim", "passes"),
    [
        ("adamw_torch_fused", 2 + 1 + 4),  # weight and two states read and written, gradient read
        ("adamw_torch", 20),
        ("sgd", 3),
    ],
)
def test_torch_optimizers_pass_over_16_bit_tensors(optim: str, passes: int) -> None:
    num_bytes, elements = traffic(optim=optim)
    clipping = 3
    assert num_bytes == 2 * elements * (passes + clipping)


def test_states_in_8_bits_move_less_than_half_of_float32_ones() -> None:
    small, elements = traffic(optim="adamw_bnb_8bit")
    large, _ = traffic(optim="paged_adamw_32bit")
    # two states read and written: 4 bytes an element against 16; constants and small tensors besides
    assert 11 * elements < large - small <= 12 * elements


def test_zero_updates_a_share_of_float32_masters() -> None:
    whole, elements = traffic()
    _, part = traffic(num_gpus=4, parallelism={"strategy": "zero2"})
    assert part == pytest.approx(elements / 4, abs=1)


def test_adapters_alone_are_updated() -> None:
    _, elements = traffic(method="lora")
    stacked, prepared = prepare(asked(method="lora"))
    assert elements == sum(item.elements for item in prepared.static.items if item.trainable)
