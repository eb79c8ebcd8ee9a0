"""Gradients as autograd adds them up: in input buffers, and in leaves over micro-steps.

torch 2.13 torch/csrc/autograd: input_buffer.cpp (accumulation in place where the buffer is the only owner),
functions/accumulate_grad.h.
"""

import sys

from planner.memory.account import LiveBytes
from planner.memory.graph import Value

#: Leaves that are tensors of one step, no parameters: no earlier step has left a gradient in them.
STEP_LEAVES = ("checkpoint.input", "embeddings", "decoder embeddings", "cross bias")


class Gradients(LiveBytes):
    """The account with the gradients of leaves.

    observed: a TorchDispatchMode follows the run, as profiler.measure does on the CPU: isTensorSubclassLike is then
    true of every tensor, and autograd adds gradients up out of place.
    tied: the leaf with several uses, embeddings and head: its gradient is added to an earlier step's when all of
    uses_of_tied are there.
    """

    def __init__(self, phase: str, gradients_exist: bool):
        super().__init__(phase)
        self.gradients_exist = gradients_exist
        self.observed = False
        self.gradients: dict[str, Value] = {}
        self.tied, self.uses_of_tied = "", 2

    def _accumulate(self, buffer: list[Value | None], index: int, grad: Value) -> None:
        """input_buffer.cpp accumulate: in place where the buffer alone owns the old gradient, and nothing observes."""
        old = buffer[index]
        if old is None:
            buffer[index] = grad
            return
        self.work.moves(old, grad, old)
        if self.observed or not self._sole_owner(old) or old.dtype != grad.dtype:
            buffer[index] = self.allocate(old.shape, old.dtype, " grad sum")

    @staticmethod
    def _sole_owner(value: Value) -> bool:
        # references: the Value's slot, getrefcount's argument, nothing else
        return value.storage is not None and sys.getrefcount(value.storage) <= 2

    def accumulate_grad(self, leaf: str, grad: Value) -> None:
        """AccumulateGrad: keep the gradient (stolen, or cloned where it is shared); add in place to an older one."""
        if self.gradients_exist and leaf == self.tied:
            self._add_tied(leaf, grad)
            return
        if leaf in self.gradients or (self.gradients_exist and leaf not in STEP_LEAVES):
            self._add_to_leaf(leaf, grad)
            return
        if grad.storage is None or not grad.contiguous or sys.getrefcount(grad.storage) > 2:
            self.work.moves(grad, grad)
            grad = self.allocate(grad.shape, grad.dtype, " grad")
        assert grad.storage is not None
        grad.storage.move("gradients")
        self.gradients[leaf] = grad

    def _add_tied(self, leaf: str, grad: Value) -> None:
        """The input buffer of AccumulateGrad: gradients wait there, added up, for that of the last use."""
        waiting = self.gradients.pop(leaf, None)
        if waiting is not None:
            buffer: list[Value | None] = [waiting]
            del waiting
            self._accumulate(buffer, 0, grad)
            (added,) = buffer
            assert added is not None
            grad = added
        self.uses_of_tied -= 1
        if self.uses_of_tied > 0:
            self.gradients[leaf] = grad
        else:
            self._add_to_leaf(leaf, grad)

    def _add_to_leaf(self, leaf: str, grad: Value) -> None:
        """A second gradient of one backward is added in the input buffer, to an earlier step's always in place."""
        self.work.moves(grad, grad, grad)
        if leaf in self.gradients and self.observed:
            total = self.allocate(grad.shape, grad.dtype, " grad sum")
            assert total.storage is not None
            total.storage.move("gradients")
            self.gradients[leaf] = total
