"""Storages that FSDP2 empties and fills again, followed."""

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `profiler`")

from profiler.shards import ShardTracker  # noqa: E402

pytestmark = pytest.mark.torch


def test_an_emptied_storage_is_gone_and_counts_again_when_filled() -> None:
    tracker = ShardTracker()
    with tracker.resizes(), tracker:
        gathered = torch.empty(1000)
        assert tracker.record.live == 4000
        gathered.untyped_storage().resize_(0)
        assert tracker.record.live == 0
        gathered.untyped_storage().resize_(4000)
        other = torch.empty(10)
        assert tracker.record.live == 4040
        del gathered
        assert tracker.record.live == 40
        del other
    assert (tracker.record.live, tracker.record.peak) == (0, 4040)
    assert [birth.num_bytes for birth in tracker.record.births] == [4000, 4000, 40]


def test_resizing_is_left_as_it_was() -> None:
    before = torch.UntypedStorage.resize_
    with ShardTracker().resizes():
        assert torch.UntypedStorage.resize_ is not before
    assert torch.UntypedStorage.resize_ is before
