"""Optimizer states in four bits: torchao's AdamW4bit, worked by hand."""

from planner.memory.inventory import Item
from planner.memory.states import state_bytes
from planner.optimizers import OPTIMIZERS


def item(numel: int, dtype: str = "bfloat16") -> Item:
    return Item("weight", "linear", numel, 1, dtype, True, (numel,))


def total(numel: int) -> int:
    return state_bytes(OPTIMIZERS["adamw_torch_4bit"], [item(numel)], "cuda").total


def test_two_states_of_half_a_byte_and_a_scale_a_block_of_128() -> None:
    numel = 4096 * 4096
    assert total(numel) == 2 * (numel // 2 + numel // 128 * 4 + 16 * 4)


def test_small_and_odd_tensors_keep_their_own_dtype() -> None:
    assert total(4095) == 2 * 2 * 4095
    assert total(4096 + 64) == 2 * 2 * (4096 + 64)
