"""Storages followed from birth to end, against bytes added up by hand."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `profiler`")

from profiler.storages import Birth, Record, StorageTracker  # noqa: E402

pytestmark = pytest.mark.torch
FLOAT = 4


def test_a_storage_counts_once_from_its_birth_to_its_end() -> None:
    tracker = StorageTracker()
    with tracker:
        a = torch.zeros(1000)
        view = a.view(10, 100)[3:]  # the same storage, whatever is seen of it
        b = a + 1
        del a
        assert tracker.record.live == 2 * 1000 * FLOAT  # the view still holds it
        del view
        assert tracker.record.live == 1000 * FLOAT
        del b
    assert tracker.record.live == 0
    assert tracker.record.peak == 2 * 1000 * FLOAT


def test_a_temporary_counts_while_it_lives() -> None:
    tracker = StorageTracker()
    with tracker:
        x = torch.ones(100, dtype=torch.bfloat16)
        y = (x.float() * 2).to(torch.bfloat16)  # 200 + 400 (float) + 400 (product); the copy lives with the product
    assert (tracker.record.live, tracker.record.peak) == (400, 1000)
    assert y.dtype == torch.bfloat16


def test_what_autograd_saves_lives_until_backward() -> None:
    tracker = StorageTracker()
    x = torch.zeros(50, requires_grad=True)
    tracker.register([("x", x)])
    with tracker:
        loss = x.exp().sum()  # exp saves its own output
        assert tracker.record.live == (50 + 50 + 1) * FLOAT
        loss.backward()
        del loss
        assert tracker.record.live == (50 + 50) * FLOAT  # x and its gradient
        x.grad = None
    assert tracker.record.live == 50 * FLOAT


def test_tied_tensors_are_registered_once() -> None:
    weight = torch.zeros(8, 8)
    tracker = StorageTracker()
    tracker.register([("embedding", weight), ("head", weight.t()), ("bias", torch.zeros(0))])
    assert tracker.record.live == 64 * FLOAT
    assert [birth.module for birth in tracker.record.births] == ["embedding"]


def test_live_at_the_peak_names_what_made_each_storage() -> None:
    tracker = StorageTracker()
    with tracker:
        a = torch.zeros(10)
        b = a.exp()
        del a
        c = torch.ones(5, dtype=torch.int64)
    assert [(birth.op, birth.shape, birth.dtype) for birth in tracker.record.live_at_peak()] == [
        ("aten.zeros", (10,), "float32"),
        ("aten.exp", (10,), "float32"),
    ]
    assert tracker.record.peak == 80 and tracker.record.live == 40 + 40
    assert b.numel() + c.numel() == 15


def test_modules_are_known_in_forward_and_in_backward() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    tracker = StorageTracker()
    with tracker, tracker.modules_of(model):
        tracker.phase = "forward"
        loss = model(torch.zeros(3, 4)).sum()
        tracker.phase = "backward"
        loss.backward()
    born = [(birth.phase, birth.module, birth.op) for birth in tracker.record.births]
    assert ("forward", "0", "aten.addmm") in born
    assert ("forward", "1", "aten.relu") in born
    assert ("backward", "2", "aten.mm") in born  # the gradient of the last weight
    assert ("backward", "1", "aten.threshold_backward") in born
    assert ("backward", "0", "aten.mm") in born
    assert tracker._modules == []


def test_the_account_alone() -> None:
    record = Record()
    births = [Birth(size, "op", (size,), "uint8", "", "forward") for size in (10, 20, 5)]
    record.add(births[0])
    record.add(births[1])
    record.end(births[0], 0, "forward", "")
    record.add(births[2])
    assert [event.live for event in record.events] == [10, 30, 20, 25]
    assert record.peak == 30 and record.live_at_peak() == births[:2]
    assert record.live_at(3) == births[1:]
