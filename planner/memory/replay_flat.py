"""FSDP1's blocks in a replay: what flat parameters hold in streams of their own, and what waits for another stream.

Source: torch 2.13 distributed/fsdp/_runtime_utils.py, _flat_param.py, _limiter_utils.py. A layer is gathered in the
unshard stream, after its shard was cast in another; its gradient is reduced and cast in the post-backward stream. What
the compute stream has used of the first, and the post-backward stream of a whole gradient, can be used again only once
that stream is through (record_stream). The host waits for the last gathered layer but one (the rate limiter), and so
is two layers ahead.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from planner.memory.allocator import Block, CachingAllocator
from planner.memory.inventory import Item, Setup, stored_bytes
from planner.memory.live import Live
from planner.memory.loading import LoadUnit
from planner.memory.moments import Static
from planner.memory.replay_load import flatten_unit, quantize
from planner.memory.replay_parts import Owner, Whole
from planner.memory.sharding import FlatUnits, share

UNSHARD, PRE_UNSHARD, POST_BACKWARD = "unshard", "pre-unshard", "post-backward"
#: _FreeEventQueue: units whose end the host has not waited for.
IN_FLIGHT = 2


class Flat(Whole):
    """Units of flat parameters: every layer one, and what is outside of them, the root.

    reentrant: a checkpoint's function runs FSDP's forward as a whole again, which gathers and reshards once more.
    """

    def __init__(self, allocator: CachingAllocator, static: Static, setup: Setup, units: FlatUnits, reentrant: bool):
        super().__init__(allocator, static, setup)
        self._units, self._reentrant = units, reentrant
        self._root: list[Block] = []
        self._gathered: deque[Block] = deque()
        self._freed: deque[Block] = deque()
        self._reducing: deque[Block] = deque()
        self._reduced: list[Block] = []

    def load(self, units: Sequence[LoadUnit]) -> None:
        """Constants of quantized weights first, then unit after unit; adapters before the layer that they are in."""
        setup = self._setup
        for unit in units:
            for item in (item for _ in range(unit.count) for item in unit.items):
                self._load_apart(item)
        broadcasts = setup.fsdp == "flat"
        for unit in units:
            whole, apart = unit.flattened(setup), unit.apart(setup)
            for _ in range(unit.count):
                for pieces in (*([size] for size in apart), whole):
                    flatten_unit(self.allocator, pieces, self._units.shards, broadcasts)

    def _load_apart(self, item: Item) -> None:
        """What is not flattened: buffers, and constants of quantized weights."""
        storage = self._setup.storage
        for _ in range(item.count):
            if item.role == "buffer":
                self.blocks(stored_bytes(item, storage))
            elif item.role == "linear_4bit" and storage is not None:
                if storage.quantizes:
                    quantize(self.allocator, item, self._setup, to_host=True)
                else:
                    self.blocks(storage.constants_bytes(item.shape, item.numel))

    def begin_forward(self) -> None:
        self.release(self._reduced)  # _reset_flat_param_grad_info_if_needed
        self._reduced = []
        self._root = [self._gather(self._units.root)]

    def before_forward(self) -> None:
        self._gathered.append(self._gather(self._units.layer))

    def after_forward(self) -> None:
        self._reshard()

    def before_backward(self, is_last: bool) -> None:
        if not self._gathered:
            self.before_forward()
        if self._reentrant:
            self._reshard()
            self.before_forward()
        if not is_last:
            self.before_forward()  # BackwardPrefetch.BACKWARD_PRE

    def after_backward(self, owner: Owner, gradients: Live) -> None:
        self._reduce(owner, gradients, self._units.trained_layer)
        self._reshard()

    def end_backward(self, model: Owner) -> None:
        if self._units.trained_root:
            self._reduce(model, Live(), self._units.trained_root)
        self.release(self._root)
        for waiting in (self._freed, self._reducing):
            while waiting:
                self.allocator.reuse(waiting.popleft())

    def _trained(self) -> Iterable[tuple[int, int, int]]:
        """With use_orig_params a device steps pieces of one to a few parameters a unit: taken as one."""
        units = self._units
        if not units.trained_layer:
            yield from super()._trained()
            return
        sizes = [(units.kept(units.trained_layer), units.layers), (units.kept(units.trained_root), 1)]
        total = sum(size * count for size, count in sizes)
        for size, count in sizes:
            yield self.static.states.total * size // total, size, count

    def _gather(self, num_bytes: int) -> Block:
        cast = None
        if self._units.casts:
            cast = self.allocator.malloc(share(num_bytes, self._units.shards), PRE_UNSHARD)
        if len(self._freed) >= IN_FLIGHT:
            self.allocator.reuse(self._freed.popleft())
        block = self.allocator.malloc(num_bytes, UNSHARD)
        if cast is not None:
            self.allocator.free(cast)
        return block

    def _reshard(self) -> None:
        block = self._gathered.popleft()
        self.allocator.retire(block)
        self._freed.append(block)

    def _reduce(self, owner: Owner, gradients: Live, trained: int) -> None:
        """A unit's gradients become one tensor (SplitWithSizesBackward), and that a shard of the parameters' dtype."""
        if not trained:
            owner.keep(gradients)
            return
        whole = self.allocator.malloc(trained)
        owner.keep(Live())
        shard = self.allocator.malloc(share(trained, self._units.shards), POST_BACKWARD)
        if self._units.casts:
            made, shard = shard, self.allocator.malloc(self._units.kept(trained), POST_BACKWARD)
            self.allocator.free(made)
        self._reduced.append(shard)
        self.allocator.retire(whole)
        self._reducing.append(whole)
        if len(self._reducing) > IN_FLIGHT:
            self.allocator.reuse(self._reducing.popleft())
