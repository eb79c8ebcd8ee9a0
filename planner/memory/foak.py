"""Norms and rotary embeddings as fms-acceleration's kernels make them: no float32 copies, no tensors to rotate with.

Source: fms-acceleration-foak 0.4 kernels/unsloth/rms_layernorm.py and rope_embedding.py, which the rules of its models/
put into the families of PATCHED. No kernel notes its work: a step's time counts plain torch's (taped.py).
"""

from typing import Protocol

from planner.memory import ops
from planner.memory.graph import Value
from planner.memory.live import Shape
from planner.memory.structure import Structure
from planner.memory.tape import Tape

#: model_type -> what runs in kernels of fms-acceleration-foak (models/llama.py, mistral.py, granite.py, mixtral.py: the
#: rules named rms, rope, qkvo and mlp); adapters of a module only where they and their base are as foak_lora.py says.
PATCHED = {
    "llama": frozenset({"norms", "rotary", "self_attn", "mlp"}),
    "mistral": frozenset({"norms", "rotary", "self_attn", "mlp"}),
    "granite": frozenset({"norms", "rotary", "self_attn", "mlp"}),
    "mixtral": frozenset({"norms", "rotary", "self_attn"}),
}


class Context(Protocol):
    """What a norm needs of planner.memory.modules.Context."""

    tape: Tape
    structure: Structure

    def norm_parameter(self, name: str, shape: Shape) -> Value:
        """A norm's weight."""


def rms_norm(c: Context, x: Value, name: str, width: Shape) -> Value:
    """Fast_RMS_Layernorm: saves its input and a float32 a row; backward writes over the gradient that it is given.

    It hands no gradient to the weight, though full fine-tuning trains it.
    """
    t = c.tape

    def backward(grad: Value, *saved: Value) -> ops.Grads:
        return (ops.same(grad), None)

    node = t.record([x, c.norm_parameter(f"{name}.weight", width)], backward)
    out = t.allocate(x.shape, x.dtype, f"{name}: normalized and scaled")
    r = t.allocate(x.shape[: -len(width)], "float32", f"{name}: inverse root mean square")
    if node is not None:
        out.requires_grad, out.node = True, node
        node.saved += [t.pack(x), t.pack(r)]
    return out


def rotary(c: Context, x: Value) -> Value:
    """Fast_RoPE_Embedding: rotates in place, forward and backward; eager attention's gradient is copied for it."""
    t, copies = c.tape, c.structure.attention == "eager"

    def backward(grad: Value) -> ops.Grads:
        return (t.allocate(grad.shape, grad.dtype, "gradient by tokens") if copies else ops.same(grad),)

    return t.op("rotated", x.shape, x.dtype, [x], backward, view=x, contiguous=x.contiguous)
