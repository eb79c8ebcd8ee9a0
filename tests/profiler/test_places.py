"""Phases and names of places, on accounts written by hand."""

from typing import Any

import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from profiler.categories import Categories, as_bytes
from profiler.places import births_by_place, layer_of, phases_of
from profiler.storages import Birth, Record

pytestmark = pytest.mark.torch


def birth(phase: str, module: str, num_bytes: int = 8, shape: tuple[int, ...] = (2,), **more: Any) -> Birth:
    return Birth(num_bytes, "op", shape, "float32", module, phase, **more)


def account(*births: Birth) -> Record:
    record = Record()
    for one in births:
        record.add(one, step=1)
    return record


STEP = (
    birth("loaded", "model.layers.0.weight"),
    birth("forward", "model.embed"),
    birth("forward", "model.layers.0.mlp"),
    birth("forward", "model.layers.1"),
    birth("forward", "lm_head"),
    birth("backward", "lm_head"),
    birth("backward", "model.layers.1.mlp"),
    birth("backward", "model.layers.0.mlp"),
    birth("backward", "model.embed"),
    birth("optimizer", ""),
)


def test_phases_of_a_step() -> None:
    assert list(phases_of(account(*STEP))) == [
        "loaded", "forward", "forward", "forward", "loss",
        "backward_head", "backward_layers", "backward_layers", "backward_embedding", "optimizer_step",
    ]  # fmt: skip


def test_a_second_micro_step_starts_over() -> None:
    twice = [*STEP[1:9], *STEP[1:9]]
    phases = list(phases_of(account(*(birth(b.phase, b.module) for b in twice))))
    assert phases[:8] == phases[8:]


def test_layers_are_named_by_their_distance_from_an_end() -> None:
    record = account(*(birth("forward", f"h.{layer}.mlp") for layer in range(4)))
    assert [place.layer for place, _ in births_by_place(record, num_layers=4, num_back=2)] == [
        "first+0", "first+1", "last-1", "last-0",
    ]  # fmt: skip


def test_events_alike_are_told_apart_and_the_optimizer_is_one_place() -> None:
    record = account(birth("forward", "h.0"), birth("forward", "h.0"), birth("optimizer", ""), birth("optimizer", ""))
    places = [place for place, _ in births_by_place(record, 1, 0)]
    assert [place.occurrence for place in places] == [0, 1, 0, 0]
    assert places[2] == places[3]


@pytest.mark.parametrize(
    ("module", "layer"),
    [("model.layers.12.mlp.experts.3", 12), ("transformer.h.0", 0), ("3.weight", 3), ("lm_head", None), ("", None)],
)
def test_layer_of_a_module(module: str, layer: int | None) -> None:
    assert layer_of(module) == layer


def test_categories() -> None:
    record = Record()
    weight, state = birth("loaded", "w", 1), birth("optimizer", "", 2)
    kept, temporary = birth("forward", "h.0", 4), birth("forward", "h.0", 8)
    logits, gradient = birth("forward", "head", 16, shape=(10, 100)), birth("backward", "h.0", 32)
    recomputed = birth("backward", "h.0", 64, recomputed=True)
    for one in (weight, kept, temporary):
        record.add(one)
    record.end(temporary, 1, "forward", "")
    for one in (logits, gradient, recomputed, state):
        record.add(one)
    top = len(record.events) - 1
    for one, phase in ((kept, "backward"), (logits, "backward"), (recomputed, "backward"), (gradient, "optimizer")):
        record.end(one, 1, phase, "")
    live = Categories(record, num_logits=1000).live()
    assert as_bytes(live[top]) == {
        "weights": 1, "gradients": 32, "optimizer": 2, "activations": 4 + 64, "logits": 16, "workspace": 0,
    }  # fmt: skip
    assert as_bytes(live[2])["workspace"] == 8
    assert live[-1].sum() == record.live == 3
