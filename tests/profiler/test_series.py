"""The series of moments and the list of live storages, on accounts written by hand."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `profiler`")

from profiler.categories import Categories, as_bytes
from profiler.live import as_storages, by_module_class, class_of, counts_at
from profiler.measured import read_record, total
from profiler.series import Key, Rows, as_series, deep_rows
from profiler.slices import Slices
from profiler.storages import Birth, Record

pytestmark = pytest.mark.torch


def birth(phase: str, module: str, num_bytes: int = 8, **more: Any) -> Birth:
    return Birth(num_bytes, "op", (2,), "float32", module, phase, **more)


def two_steps() -> Record:
    """A weight; in each step two layers keep 10 and 20, the loss makes 5; the optimizer keeps 7 in the first."""
    record = Record()
    record.add(birth("loaded", "h.0.weight", 100))
    for step in (1, 2):
        born = [birth("forward", "h.0", 10), birth("forward", "h.1", 20), birth("forward", "", 5)]
        for one in born:
            record.add(one, step)
        for one in reversed(born):
            record.end(one, step, "backward", "h.0")
        if step == 1:
            record.add(birth("optimizer", "", 7), step)
    return record


def test_the_series_has_each_layer_and_each_step() -> None:
    measured = read_record(Categories(two_steps(), 10**6), (0, 0))
    points = [(m.step, m.phase, m.module, total(m.live_bytes)) for m in measured.series]
    assert points == [
        (0, "loaded", "", 100),
        (1, "forward", "h.0", 110), (1, "forward", "h.1", 130), (1, "loss", "", 135),
        (1, "optimizer_step", "", 107), (1, "between_steps", "", 107),
        (2, "forward", "h.0", 117), (2, "forward", "h.1", 137), (2, "loss", "", 142), (2, "between_steps", "", 107),
    ]  # fmt: skip
    assert [(p.step, p.peak_bytes, p.peak_phase) for p in measured.step_peaks] == [(1, 135, "loss"), (2, 142, "loss")]
    assert measured.peak_bytes == 142
    assert {p: total(live) for p, live in measured.timeline.items()} == {
        "loaded": 100, "forward": 137, "loss": 142, "optimizer_step": 107, "between_steps": 107,
    }  # fmt: skip


def test_layers_between_the_slices_follow_from_one_period_to_the_next() -> None:
    slices = Slices(small=3, period=1, num_periods=4)  # layers 0, 1 and the last stand for seven
    row = lambda n: np.array([n, 0, 0, 0, 0, 0])  # noqa: E731
    key = lambda layer: Key(1, "forward", "h.", layer)  # noqa: E731
    rows: Rows = {key(0): row(10), key(1): row(15), key(6): row(41)}
    large: Rows = {key(0): row(10), key(1): row(15), key(2): row(20), key(3): row(26)}
    deep = as_series(deep_rows(rows, large, slices, depth=7))
    assert [(m.module, total(m.live_bytes)) for m in deep] == [
        ("h.0", 10), ("h.1", 15), ("h.2", 20), ("h.3", 25), ("h.4", 30), ("h.5", 35), ("h.6", 41),
    ]  # fmt: skip


def test_backward_goes_from_the_last_layer_to_the_first() -> None:
    rows = {Key(1, "backward_layers", "h.", layer): np.ones(6, dtype=np.int64) for layer in (0, 1, 2)}
    assert [m.module for m in as_series(rows)] == ["h.2", "h.1", "h.0"]
    assert as_bytes(np.ones(6, dtype=np.int64)) == as_series(rows)[0].live_bytes


def test_alike_storages_stand_together_under_the_class_that_holds_them() -> None:
    record = Record()
    for one in (
        birth("loaded", "h.0.up.weight", 4), birth("loaded", "h.1.up.weight", 4),
        birth("loaded", "h.1.up.weight.absmax", 1),
        birth("forward", "h.0", 2), birth("optimizer", "", 3),
    ):  # fmt: skip
        record.add(one)
    classes = {"": "Model", "h.0": "Layer", "h.1": "Layer", "h.0.up": "Linear", "h.1.up": "Linear"}
    storages = as_storages(counts_at(Categories(record, 10**6, classes), len(record.events) - 1))
    assert [(s.module_class, s.module, s.count, s.bytes) for s in storages] == [
        ("Linear", "h.*.up.weight", 2, 8), ("optimizer", "", 1, 3), ("Layer", "h.*", 1, 2),
        ("Linear", "h.*.up.weight.absmax", 1, 1),
    ]  # fmt: skip
    assert {name: total(live) for name, live in by_module_class(storages).items()} == {
        "Linear": 9, "optimizer": 3, "Layer": 2,
    }  # fmt: skip


@pytest.mark.parametrize(("name", "found"), [("a.b.weight", "B"), ("a.weight", "A"), ("", "Root"), ("c", "Root")])
def test_the_class_of_a_tensor_is_that_of_the_module_that_holds_it(name: str, found: str) -> None:
    assert class_of(name, {"": "Root", "a": "A", "a.b": "B"}) == found
