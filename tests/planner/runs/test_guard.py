"""What may start: the plan is asked, the whole, slices or nothing; and the request as this machine can run it."""

from typing import Any

import pytest

from planner.errors import RequestError
from planner.estimate import estimate
from planner.runs.guard import PROCESS_BYTES, may_start, needed_bytes
from planner.runs.here import choose_device, notes_here, request_here
from planner.runs.machine import RESERVE_BYTES, Watch, available_bytes, process_bytes
from planner.runs.shallow import cut_layers, depth_of
from planner.schema import parse_request
from tests.planner.runs.samples import HOST, TINY, request

DEEP = TINY | {"num_hidden_layers": 40, "hidden_size": 512, "intermediate_size": 2048}


def free(num_bytes: int) -> dict[str, Any]:
    return {**HOST, "free_bytes": num_bytes + RESERVE_BYTES}


def test_what_fits_starts_whole() -> None:
    plan = estimate(request())
    start = may_start(request(), free(needed_bytes(plan)), None, force=False)
    assert (start.slices, start.plan, start.limit_bytes) == (False, plan, plan.peak_bytes + PROCESS_BYTES)


def test_what_does_not_fit_starts_in_slices() -> None:
    deep = request(model=DEEP, method="full")
    whole = needed_bytes(estimate(deep))
    assert may_start(deep, free(whole - 1), None, force=False).slices
    assert not may_start(deep, free(whole - 1), None, force=True).slices


def test_what_fits_not_even_in_slices_is_refused() -> None:
    with pytest.raises(RequestError, match="too little for slices"):
        may_start(request(model=DEEP, method="full"), free(PROCESS_BYTES), None, force=False)


def test_a_shallow_model_is_not_started_in_slices() -> None:
    with pytest.raises(RequestError, match="needs about"):
        may_start(request(max_length=2048), free(PROCESS_BYTES), None, force=False)


def test_a_limit_lowers_what_is_free_and_never_raises_it() -> None:
    assert may_start(request(), free(2**32), 2**31, force=False).limit_bytes == 2**31
    assert may_start(request(), free(2**32), 2**40, force=False).limit_bytes == 2**32


def test_layers_are_cut_with_their_lists() -> None:
    config = TINY | {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "other": [1, 2]}
    assert cut_layers(config, 2) == config | {"num_hidden_layers": 2, "layer_types": ["a", "b"]}
    nested = {"model_type": "x", "text_config": {"n_layer": 5}}
    assert depth_of(nested) == 5 and depth_of(cut_layers(nested, 1)) == 1
    with pytest.raises(RequestError, match="has 3 layers: use 1 to 3"):
        cut_layers(config, 4)
    with pytest.raises(RequestError, match="states no number of layers"):
        depth_of({"model_type": "x"})


def test_the_request_here_names_the_device_and_not_the_card() -> None:
    asked = request(device="cuda", gpu="t4")
    name, here = request_here(asked, HOST, num_layers=1)
    assert (name, here.device, here.gpu) == ("llama", "cpu", None)
    assert isinstance(here.model, dict) and here.model["num_hidden_layers"] == 1
    assert [note.split(":")[0].split(" of ")[0] for note in notes_here(asked, HOST, 1)] == ["gpu t4", "the first 1"]


def test_a_device_is_the_first_or_the_one_asked_for() -> None:
    card = {"device": "cuda:0", "platform": "cuda", "name": "X", "free_bytes": 1}
    assert choose_device(request(), [card, dict(HOST)]) == HOST
    left_open = parse_request({"model": TINY, "method": "lora"})
    assert choose_device(left_open, [card, dict(HOST)]) == card


def test_this_process_is_watched() -> None:
    import os

    pytest.importorskip("psutil", reason="needs the extra `profiler`")
    assert available_bytes() > 0
    assert Watch(2**60)(os.getpid()) is None
    watch = Watch(1)
    assert "the limit is" in str(watch(os.getpid()))
    assert watch.highest_bytes > 2**20
    assert process_bytes(2**22 + 12345) == 0
