"""A symbolic autograd: runs a model's forward and backward on shapes alone and follows every storage's life.

The layer code of planner/memory/layers mirrors the libraries' own modelling code line by line, on `Value` handles that
hold shapes of symbols ("B", "S", "hidden" ...) instead of numbers. A `Storage` lives exactly as long as Python refers
to it, as in torch: handles, saved tensors of graph nodes and gradient buffers are the only references. Births and ends
are kept as events of ``coefficient x product of symbols``, with the local maxima marked; they are evaluated later with
numbers or arrays (peaks.py). A structure is taped once and serves every size.

Semantics follow torch 2.13: torch/csrc/autograd/engine.cpp and input_buffer.cpp (order of nodes, accumulation in
place where the buffer is the only owner), derivatives.yaml (what each op saves), torch/utils/checkpoint.py (hooks,
recomputation, early stop).
"""

import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import Any

from planner.memory.gradients import STEP_LEAVES, Gradients
from planner.memory.graph import Backward, Edge, Frame, Holder, Node, StopRecomputation, Value
from planner.memory.kernels import Moved, Product, whole
from planner.memory.live import Kind, Shape

_NUMBER = attrgetter("number")


class Tape(Gradients):
    """Live bytes by label, the graph, and the section that is being written."""

    def __init__(self, phase: str = "forward", gradients_exist: bool = False):
        super().__init__(phase, gradients_exist)
        self.grad_enabled = True
        self.autocast: str | None = None
        self.cast_cache: dict[str, Value] = {}
        self._nodes = 0
        self._received: list[list[Value | None]] = []
        self._packing: Frame | None = None
        self._unpacking: tuple[Frame, list[int]] | None = None

    # -- forward -------------------------------------------------------------------------------------------------

    def op(
        self,
        label: str,
        shape: Shape,
        dtype: str,
        inputs: Sequence[Value],
        backward: Backward,
        saves: Iterable[Value] = (),
        save_output: bool = False,
        view: Value | None = None,
        contiguous: bool = True,
        kind: Kind | None = None,
        products: Sequence[Product] = (),
        moved: Moved | None = None,
    ) -> Value:
        """One differentiable operation: saves `saves` before it runs, allocates its output (or views `view`).

        kind, products, moved: of its kernel, by default an elementwise one that reads the inputs and writes the output.
        A view has none, unless it is said of which kind.
        """
        node = self.record(inputs, backward, saves, kind or "elementwise")
        if kind is not None or view is None:
            if moved is None:
                moved = (*[(v.shape, v.dtype) for v in inputs], (shape, dtype))
            work = self.work
            work.notes.append((kind or "elementwise", work.phase, dtype, products, moved, 1, work.again, False))
        if view is not None:
            out = Value(view.storage, shape, dtype, contiguous=contiguous)
        else:
            out = self.allocate(shape, dtype, label)
            out.contiguous = contiguous
        if node is not None:
            out.requires_grad, out.node = True, node
            if save_output:
                node.saved.append(self.pack(out))
        return out

    def record(
        self, inputs: Sequence[Value], backward: Backward, saves: Iterable[Value] = (), kind: Kind = "elementwise"
    ) -> Node | None:
        """The graph node of an operation, or None where no input needs a gradient."""
        if not self.grad_enabled or True not in [v.requires_grad for v in inputs]:
            return None
        edges = [Edge(v.node, v.index, v.leaf, v.shape, v.dtype, v.requires_grad) for v in inputs]
        self._nodes += 1
        node = Node(edges, backward, self._nodes, kind, self.work.again)
        for v in saves:
            node.saved.append(self.pack(v))
        return node

    def pack(self, value: Value) -> Holder:
        """Save a tensor for backward, or under a checkpoint a promise to recompute it."""
        if self._unpacking is not None:
            return self._fill(value)
        frame = self._packing
        if frame is None:
            if value.storage is not None and value.storage.key[1] == "workspace":
                value.storage.move("activations")
            return Holder(value.detach())
        holder = Holder(None, frame)
        frame.holders.append(weakref.ref(holder))
        return holder

    def _fill(self, value: Value) -> Holder:
        assert self._unpacking is not None
        frame, done = self._unpacking
        holder = frame.holders[done[0]]()
        done[0] += 1
        kept = value.detach()
        if holder is not None:
            if value.storage is not None and value.storage.key[1] == "workspace":
                value.storage.move("activations")
            holder.value = kept
        if done[0] == len(frame.holders):
            raise StopRecomputation
        return Holder(kept)  # the graph of the recomputation keeps it as well, as long as it lives

    def checkpoint(self, function: Callable[..., Value], *args: Any) -> Value:
        """torch.utils.checkpoint.checkpoint(..., use_reentrant=False)."""
        frame = Frame(function, args)
        self._packing = frame
        try:
            return function(*args)
        finally:
            self._packing = None

    def _unpack(self, holder: Holder) -> Value | None:
        """The saved tensor: a node lets go of it after its gradients are validated; a checkpoint's, once unpacked."""
        frame = holder.frame
        if frame is None:
            return holder.value
        if holder.value is None and not frame.recomputed:
            self._recompute(frame)
        value, holder.value = holder.value, None
        return value

    def _recompute(self, frame: Frame) -> None:
        frame.recomputed = True
        phase, self.phase = self.phase, "recompute"
        self.work.phase = "recompute"
        self._unpacking = (frame, [0])
        try:
            frame.function(*frame.args)
        except StopRecomputation:
            pass
        finally:
            self._unpacking, self.phase = None, phase
            self.work.phase, self.work.again = "backward", ""
            self.cast_cache.clear()
        frame.holders = []

    def checkpoint_reentrant(self, function: Callable[..., Value], hidden: Value, *args: Any) -> Value:
        """torch.utils.checkpoint.checkpoint(..., use_reentrant=True): CheckpointFunction."""
        with self.no_grad():
            out = function(hidden, *args)

        def backward(grad: Value, saved: Value) -> tuple[Value | None]:
            received: list[Value | None] = []
            leaf = Value(saved.storage, saved.shape, saved.dtype, True, receiver(received), STEP_LEAVES[0])
            self.work.phase = "recompute"
            again = function(leaf, *args)
            self.cast_cache.clear()
            node = again.node
            self.run_backward({node: [grad]} if node is not None else {})
            return (received.pop() if received else None,)

        node = self.record([hidden], backward, [hidden])
        if node is not None:
            out.requires_grad, out.node = True, node
        return out

    @contextmanager
    def no_grad(self) -> Any:
        before, self.grad_enabled = self.grad_enabled, False
        try:
            yield
        finally:
            self.grad_enabled = before

    # -- backward ------------------------------------------------------------------------------------------------

    @staticmethod
    def _buffer(node: Node, index: int, grad: Value | None) -> list[Value | None]:
        buffer: list[Value | None] = [None] * node.num_outputs
        buffer[index] = grad
        return buffer

    def boundary(self, shape: Shape, dtype: str, requires_grad: bool, label: str) -> tuple[Value, list[Value | None]]:
        """The input of a part taped on its own, and the list that will receive its gradient."""
        value = self.allocate(shape, dtype, label)
        received: list[Value | None] = []
        self._received.append(received)
        if requires_grad:
            value.requires_grad, value.node = True, receiver(received)
        return value, received

    def forget_received(self) -> None:
        """Let go of the gradients that boundaries have received."""
        for received in self._received:
            received.clear()

    def run_backward_from(self, begins: list[tuple[Value, Value]]) -> None:
        """Run backward from values and their gradients; the gradients of leaves are dropped when it is over."""
        buffers: dict[Node, list[Value | None]] = {}
        leaves = []
        for value, grad in begins:
            if value.node is not None:
                buffers.setdefault(value.node, [None] * value.node.num_outputs)[value.index] = grad
            elif value.leaf is not None:
                leaves.append(value.leaf)
                self.gradients[value.leaf] = grad
        self.run_backward(buffers)
        for leaf in leaves:
            del self.gradients[leaf]

    def run_backward(self, buffers: dict[Node, Any]) -> None:
        self.work.phase = "backward"
        while buffers:
            node = max(buffers, key=_NUMBER)
            grads = buffers.pop(node)
            saved = [self._unpack(h) for h in node.saved]
            outputs = self._run_node(node, grads, saved)
            del saved
            edges = node.edges
            self._validate(edges, outputs)
            del grads
            node.saved = []
            del node
            for position, edge in enumerate(edges):
                grad, outputs[position] = outputs[position], None
                if grad is None or not edge.wanted:
                    continue
                if edge.node is None:
                    if edge.leaf is not None:
                        self.accumulate_grad(edge.leaf, grad)
                elif edge.node not in buffers:
                    buffers[edge.node] = self._buffer(edge.node, edge.index, grad)
                else:
                    self._accumulate(buffers[edge.node], edge.index, grad)
                grad = None

    def _run_node(self, node: Node, grads: Sequence[Value | None], saved: Sequence[Value | None]) -> list[Value | None]:
        """Run a backward function; one that notes no kernels itself has those of the tensors that it makes."""
        work = self.work
        work.again, work.made, noted = node.again, [], len(work.notes)
        outputs = list(node.backward(*grads, *saved))
        if len(work.notes) == noted:
            work.backward(node.kind, grads, saved, len(outputs) - outputs.count(None))
        work.again = ""
        return outputs

    def _validate(self, edges: list[Edge], outputs: list[Value | None]) -> None:
        """engine.cpp validate_outputs: reduce broadcast gradients, cast to the input's dtype."""
        for i, edge in enumerate(edges):
            grad = outputs[i]
            if grad is None:
                continue
            if not edge.wanted:
                outputs[i] = None
                continue
            if grad.shape != edge.shape and self._monomial(grad.shape) != self._monomial(edge.shape):
                self.work.note("elementwise", grad.dtype, (*whole(grad), (edge.shape, grad.dtype)))
                grad = outputs[i] = self.allocate(edge.shape, grad.dtype, " grad")
            if grad.dtype != edge.dtype:
                contiguous = grad.contiguous
                self.work.note("elementwise", edge.dtype, (*whole(grad), (edge.shape, edge.dtype)))
                grad = outputs[i] = self.allocate(edge.shape, edge.dtype, " grad")
                grad.contiguous = contiguous


def receiver(received: list[Value | None]) -> Node:
    """What stands before a graph: it runs last, with the sum of all gradients that reach it."""

    def backward(grad: Value | None) -> tuple[Value | None, ...]:
        received.append(grad)
        return ()

    return Node([], backward, 0)
