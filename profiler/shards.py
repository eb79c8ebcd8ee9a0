"""Follow the storages of a sharded model: local shards of DTensors, and storages that are emptied and filled again.

FSDP2 (torch 2.13 distributed/fsdp/_fully_shard/_fsdp_param.py, alloc_storage and free_storage) keeps the tensor of a
gathered parameter and resizes its storage to zero and back; each filling counts as a storage of its own.
Checked by: tests/profiler/test_shards.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.distributed.tensor import DTensor

from profiler.storages import StorageTracker


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What this rank holds of a tensor: a DTensor's own storage is as large as the whole and holds nothing."""
    return tensor._local_tensor if isinstance(tensor, DTensor) else tensor


class ShardTracker(StorageTracker):
    """A tracker of what one rank holds."""

    def _track(self, tensor: torch.Tensor, op: str, module: str) -> None:
        super()._track(local(tensor), op, module)

    @contextmanager
    def resizes(self) -> Iterator[None]:
        """Know of storages that change their size while they live."""
        original = torch.UntypedStorage.resize_

        def resize(storage: torch.UntypedStorage, size: int) -> Any:
            result = original(storage, size)  # type: ignore[no-untyped-call]
            self._resized(storage)
            return result

        torch.UntypedStorage.resize_ = resize  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            torch.UntypedStorage.resize_ = original  # type: ignore[method-assign]

    def _resized(self, storage: torch.UntypedStorage) -> None:
        before = self._births.get(storage._cdata)
        if before is not None and before.num_bytes != storage.nbytes():
            self._end(storage._cdata)
        if storage.nbytes():
            self._track(torch.empty(0, dtype=torch.uint8).set_(storage), "resize", self._where())
