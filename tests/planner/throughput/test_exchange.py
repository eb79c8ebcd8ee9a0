"""Collectives of each strategy, counted by hand."""

from dataclasses import replace

import pytest

from planner.catalog import find_gpu
from planner.prepare import prepare
from planner.throughput.constants import constants
from planner.throughput.exchange import Exchange, across_seconds, exchange_of, ring_seconds
from planner.throughput.rates import rates_of
from planner.throughput.timed import step_time_of
from tests.planner.throughput.asks import asked

C = replace(constants(), link_share=0.5, collective_seconds=1e-5, hop_seconds=1e-6)
RATES = rates_of(find_gpu("a100-80gb-sxm"), C)


def exchanged(strategy: str, **fields: object) -> tuple[Exchange, int]:
    stacked, prepared = prepare(asked(num_gpus=8, parallelism={"strategy": strategy}, **fields))
    return exchange_of(stacked.request, prepared), prepared.model.architecture.num_params


def test_copies_reduce_their_gradients_once_a_step() -> None:
    exchange, params = exchanged("ddp")
    assert exchange == Exchange(step_bytes=2 * 2 * params, step_calls=4)


def test_zero_2_reduces_each_micro_batch_and_gathers_the_new_weights() -> None:
    exchange, params = exchanged("zero2")
    assert (exchange.micro_batch_bytes, exchange.step_bytes) == (2 * params, 2 * params)


@pytest.mark.parametrize("strategy", ["fsdp", "zero3"])
def test_full_sharding_gathers_twice_and_reduces_once(strategy: str) -> None:
    exchange, params = exchanged(strategy)
    assert exchange == Exchange(micro_batch_bytes=3 * 2 * params, micro_batch_calls=12)


def test_frozen_weights_are_gathered_and_have_no_gradients() -> None:
    exchange, params = exchanged("fsdp", method="lora", lora={"autocast_adapter_dtype": False})
    adapters = params_of_adapters()
    assert exchange.micro_batch_bytes == 2 * 2 * (params + adapters) + 2 * adapters


def params_of_adapters() -> int:
    _, prepared = prepare(asked(method="lora"))
    return sum(item.elements for item in prepared.static.items if item.trainable)


def test_a_ring_in_one_node_moves_seven_eighths_over_its_link() -> None:
    request = asked(num_gpus=8, parallelism={"strategy": "fsdp"})
    expected = 8e9 * 7 / 8 / (300e9 * 0.5) + 10 * (1e-5 + 8e-6)
    assert ring_seconds(8e9, 10, request, RATES, C) == pytest.approx(expected)


def test_across_nodes_the_slower_network_is_waited_for() -> None:
    request = asked(num_gpus=32, num_nodes=4, parallelism={"strategy": "fsdp"})
    expected = 8e9 * 3 / 4 / (8 * 25e9 * 0.5)
    assert ring_seconds(8e9, 0, request, RATES, C) == pytest.approx(expected)


def test_hybrid_sharding_stays_in_its_node_and_reduces_gradients_between_nodes() -> None:
    request = asked(num_gpus=16, num_nodes=2, parallelism={"strategy": "hsdp"})
    stacked, prepared = prepare(request)
    exchange, params = exchange_of(stacked.request, prepared), prepared.model.architecture.num_params
    assert (exchange.micro_batch_bytes, exchange.across_bytes) == (3 * 2 * params, 2 * 2 * params)
    assert ring_seconds(8e9, 0, request, RATES, C) == pytest.approx(8e9 * 7 / 8 / (300e9 * 0.5))
    assert across_seconds(8e9, request, RATES, C) == pytest.approx(8e9 / 2 / (8 * 25e9 * 0.5))


def test_without_overlap_the_whole_exchange_is_waited_for() -> None:
    seconds = {}
    for overlap in (True, False):
        request = asked(num_gpus=8, max_length=4096, parallelism={"strategy": "fsdp", "overlap_comm": overlap})
        time = step_time_of(request, find_gpu("a100-80gb-sxm"))
        seconds[overlap] = next(p.seconds for p in time.parts if p.name == "exchange of weights and gradients")
    stacked, prepared = prepare(request)
    exchange, c = exchange_of(stacked.request, prepared), constants()
    rates = rates_of(find_gpu("a100-80gb-sxm"), c)
    whole = ring_seconds(exchange.micro_batch_bytes, exchange.micro_batch_calls, stacked.request, rates, c)
    assert seconds[False] == pytest.approx(whole)
    assert seconds[True] < whole


def test_one_device_sends_nothing() -> None:
    stacked, prepared = prepare(asked(parallelism={"strategy": "zero3"}))
    assert exchange_of(stacked.request, prepared) == Exchange()
