"""Follow every tensor storage from its birth to its end.

A storage is counted once, by its own size, from the first operator that returns a tensor on it until Python and C++
have let it go (a weak reference on the untyped storage).  What a kernel allocates and frees inside itself is not
seen: a dispatch mode sees operators, not the allocator.
Checked by: tests/profiler/test_storages.py.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(slots=True)
class Birth:
    """One storage: its size, the operator and the place that made it, the events of its birth and its end."""

    num_bytes: int
    op: str
    shape: tuple[int, ...]
    dtype: str
    module: str
    phase: str
    recomputed: bool = False
    born: int = 0
    died: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A birth (positive delta) or an end (negative), with the bytes live after it."""

    delta: int
    live: int
    birth: Birth
    step: int
    phase: str
    module: str


@dataclass(slots=True)
class Record:
    """All births and ends that a tracker saw; a pure account, without tensors."""

    live: int = 0
    peak: int = 0
    peak_event: int = -1
    births: list[Birth] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def add(self, birth: Birth, step: int = 0) -> None:
        """Count a new storage."""
        birth.born = len(self.events)
        self.births.append(birth)
        self._event(birth.num_bytes, birth, step, birth.phase, birth.module)

    def end(self, birth: Birth, step: int, phase: str, module: str) -> None:
        """Count the end of a storage."""
        birth.died = len(self.events)
        self._event(-birth.num_bytes, birth, step, phase, module)

    def _event(self, delta: int, birth: Birth, step: int, phase: str, module: str) -> None:
        self.live += delta
        self.events.append(Event(delta, self.live, birth, step, phase, module))
        if self.live > self.peak:
            self.peak, self.peak_event = self.live, len(self.events) - 1

    def live_at(self, event: int) -> list[Birth]:
        """The storages that are live right after an event, in order of birth."""
        return [b for b in self.births if b.born <= event and (b.died is None or b.died > event)]

    def live_at_peak(self) -> list[Birth]:
        """The storages that are live at the peak, in order of birth."""
        return self.live_at(self.peak_event)


class StorageTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count storages while the mode is on; whoever runs the steps sets `phase` and `step`."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.record = Record()
        self.phase = "loaded"
        self.step = 0
        self._open = True
        self._births: dict[int, Birth] = {}
        self._modules: list[str] = []
        self._module_of_node: dict[int, str] = {}
        self._last_module = ""

    def register(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> None:
        """Count tensors that were there before the mode: parameters, buffers, quantization states."""
        for name, tensor in tensors:
            self._track(tensor, "load", name)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operator and count the storages of what it returns."""
        out = func(*args, **(kwargs or {}))
        module = self._where()
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._track(leaf, str(func).removesuffix(".default"), module)
        return out

    def __exit__(self, *error: Any) -> None:
        """Close the account: what ends later is not its business."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._open = False

    def _track(self, tensor: torch.Tensor, op: str, module: str) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._births or not storage.nbytes():
            return
        dtype = str(tensor.dtype).removeprefix("torch.")
        recomputed = self.phase == "backward" and bool(self._modules)
        birth = Birth(storage.nbytes(), op, tuple(tensor.shape), dtype, module, self.phase, recomputed)
        self._births[key] = birth
        self.record.add(birth, self.step)
        weakref.finalize(storage, self._end, key).atexit = False

    def _end(self, key: int) -> None:
        birth = self._births.pop(key, None)
        if birth is not None and self._open:
            self.record.end(birth, self.step, self.phase, self._last_module)

    def _where(self) -> str:
        """The module at work: by hooks in forward and recomputation, by the number of the autograd node in backward.

        A node takes its sequence number before its forward operator runs (torch/csrc/autograd/function.h), so the
        first operator after a new number is the one that the node will differentiate.
        """
        node = torch._C._current_autograd_node()
        if self.phase == "optimizer":
            self._last_module = ""
        elif node is None or self._modules:
            self._last_module = self._modules[-1] if self._modules else ""
            self._module_of_node.setdefault(torch._C._autograd._get_sequence_nr() - 1, self._last_module)
        else:
            self._last_module = self._module_of_node.get(node._sequence_nr(), self._last_module)
        return self._last_module

    @contextmanager
    def modules_of(self, model: torch.nn.Module) -> Iterator[None]:
        """Know the name of the module at work, by hooks which keep no tensor."""
        handles = [handle for name, module in model.named_modules() for handle in self._hook(name, module)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str, module: torch.nn.Module) -> list[Any]:
        return [
            module.register_forward_pre_hook(lambda *_: self._modules.append(name)),
            module.register_forward_hook(lambda *_: self._leave(name), always_call=True),
        ]

    def _leave(self, name: str) -> None:
        """Leave a module; what a recomputation that stopped early has left above it goes too."""
        if name in self._modules:
            while self._modules.pop() != name:
                pass
