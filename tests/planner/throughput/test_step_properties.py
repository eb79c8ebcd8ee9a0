"""What holds for every request: parts, bands, and the quick sums against the kernels one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog import find_gpu, list_gpus
from planner.memory.work import step_work
from planner.prepare import prepare
from planner.schema import parse_request
from planner.throughput.compiled import step_load
from planner.throughput.load import load_of
from planner.throughput.rates import UnknownRateError
from planner.throughput.timed import step_time_of
from tests.planner.memory.strategies import Fields, bounded, configs, requests
from tests.planner.throughput.test_load import figures

CARDS = [gpu.key for gpu in list_gpus()]


@bounded(40)
@given(requests(models=configs(), device="cuda"))
def test_compiled_sums_are_those_of_the_kernels(fields: Fields) -> None:
    stacked, prepared = prepare(parse_request(fields))
    request = stacked.request
    size = request.per_device_train_batch_size, request.max_length
    quick, slow = (
        figures(load) for load in (step_load(prepared, request, *size), load_of(step_work(prepared, request, *size)))
    )
    assert quick.keys() == slow.keys()
    for name, amount in slow.items():
        assert quick[name] == pytest.approx(amount, rel=1e-9), name


@bounded(40)
@given(requests(models=configs(), device="cuda"), st.sampled_from(CARDS))
def test_a_step_takes_its_parts_and_more_tokens_take_longer(fields: Fields, card: str) -> None:
    request, gpu = parse_request(fields), find_gpu(card)
    try:
        time = step_time_of(request, gpu)
    except UnknownRateError:
        return
    assert all(part.seconds >= 0 for part in time.parts)
    assert sum(part.seconds for part in time.parts) == pytest.approx(time.expected_seconds)
    assert time.low_seconds < time.expected_seconds < time.high_seconds
    assert 0 < time.mfu <= time.hfu < 1
    more = request.model_copy(update={"per_device_train_batch_size": 2 * request.per_device_train_batch_size})
    assert step_time_of(more, gpu).expected_seconds >= 0.999 * time.expected_seconds
