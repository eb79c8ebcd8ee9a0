"""Loads: what is summed of kernels, and that the quick sums are the slow ones."""

from dataclasses import replace

import numpy as np
import pytest

from planner.memory.work import Work, step_flops, step_work
from planner.prepare import prepare
from planner.throughput.compiled import step_load
from planner.throughput.load import Load, Operations, load_of
from tests.planner.throughput.asks import asked

PRODUCT = Work("matmul", "forward", "bfloat16", 5 * 2 * 1000 * 200 * 50, 700, 3, 1000, 200, 50)


def test_products_are_counted_whole_and_over_each_side() -> None:
    load = load_of([PRODUCT, replace(PRODUCT, phase="recompute")])
    one = 5 * 2 * 1000 * 200 * 50
    assert (load.flops, load.recomputed_flops, load.calls) == (6 * one, 3 * one, 6)
    assert load.kinds["matmul"].flops == {
        "bfloat16": Operations(6 * one, pytest.approx(6 * one / 1000 + 6 * one / 200), pytest.approx(6 * one / 50))
    }
    assert load.kinds["matmul"].bytes == 6 * 700


def test_attention_is_asked_for_what_is_not_masked() -> None:
    load = load_of([Work("attention", "forward", "bfloat16", 1000, 10, 2, masked_flops=400)])
    assert load.kinds["attention"].flops == {"bfloat16": Operations(1200)}
    assert load.flops == 2000


def test_convolutions_are_counted_as_products_are() -> None:
    load = load_of([replace(PRODUCT, kind="convolution")])
    one = 3 * 5 * 2 * 1000 * 200 * 50
    assert (load.flops, load.kinds["convolution"].flops["bfloat16"].done) == (one, one)


def test_a_model_with_convolutions_is_asked_for_all_its_operations() -> None:
    stacked, prepared = prepare(asked(model="state-spaces/mamba-2.8b-hf"))
    load = step_load(prepared, stacked.request, 2, 64)
    assert load.kinds["convolution"].flops and load.flops == step_flops(prepared, stacked.request, 2, 64)


def test_other_kernels_are_bytes_and_calls() -> None:
    load = load_of([Work("norm", "backward", "float32", 0, 10, 4), Work("loss", "forward", "float32", 0, 7, 1)])
    assert (load.kinds["norm"].bytes, load.kinds["loss"].bytes, load.flops) == (40, 7, 0)


def test_a_product_without_rows_asks_for_nothing() -> None:
    assert load_of([replace(PRODUCT, flops=0, m=0)]).kinds["matmul"].flops["bfloat16"].done == 0


def figures(load: Load) -> dict[str, object]:
    found: dict[str, object] = {"flops": load.flops, "again": load.recomputed_flops}
    for name, kind in load.kinds.items():
        found |= {f"{name} bytes": kind.bytes, f"{name} calls": kind.calls}
        for dtype, operations in kind.flops.items():
            found[f"{name} {dtype}"] = operations.done
            found[f"{name} {dtype} sides"] = operations.over_sides
            found[f"{name} {dtype} depth"] = operations.over_depth
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"gradient_checkpointing": True, "attn_implementation": "eager"},
        {"method": "lora", "mixed_precision": "bf16", "attn_implementation": "flash_attention_2"},
        {"method": "qlora", "padding": "padded", "loss": "fused"},
        {"method": "qlora", "quantization": {"quant_method": "gptq"}, "loss": "chunked"},
        {"method": "p_tuning"},
        {"num_gpus": 4, "parallelism": {"tensor_parallel_size": 2, "strategy": "ddp"}},
        {"model": "mistralai/Mixtral-8x7B-v0.1", "method": "qlora"},
        {"model": "google/gemma-2-2b", "method": "lora"},
        {"model": "mosaicml/mpt-1b", "attn_implementation": "flash_attention_2"},
        {"model": "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16"},  # some of its layers have no attention
    ],
)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (3, 777), (2, 9000)])
def test_compiled_sums_are_the_sums_of_the_kernels(fields: dict[str, object], batch: int, length: int) -> None:
    stacked, prepared = prepare(asked(**fields))
    request = stacked.request
    quick = figures(step_load(prepared, request, batch, length))
    slow = figures(load_of(step_work(prepared, request, batch, length)))
    assert quick.keys() == slow.keys()
    for name, amount in slow.items():
        assert quick[name] == pytest.approx(amount, rel=1e-9), name


def test_compiled_sums_take_arrays() -> None:
    stacked, prepared = prepare(asked(method="lora"))
    batches, lengths = np.array([[2], [5]]), np.array([300, 900, 2000])
    many = figures(step_load(prepared, stacked.request, batches, lengths))
    for (i, j), batch in np.ndenumerate(np.broadcast_to(batches, (2, 3))):
        one = figures(step_load(prepared, stacked.request, int(batch), int(lengths[j])))
        for name, amount in one.items():
            assert np.broadcast_to(many[name], (2, 3))[i, j] == pytest.approx(amount, rel=1e-9), name
