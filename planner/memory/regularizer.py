"""AdaLoRA's orthogonality term: the gradients of A and B that it makes before those of the loss.

PEFT 0.21 adalora/model.py AdaLoraModel.forward adds ``norm(p @ p.T - I)`` of every A and B to the loss after the
model's forward, so that backward begins with it. torch 2.13 csrc/autograd/engine.cpp: these gradients wait in the input
buffers of AccumulateGrad until those of the loss reach the layer, and are added to them there.
"""

from collections.abc import Iterable

from planner.memory.inventory import Item, Setup
from planner.memory.live import ITEMSIZE
from planner.memory.sharding import EMBEDDING, LAYERS_BACKWARD, Buffer


def waits_for_layers(setup: Setup) -> bool:
    """Whether all gradients of the adapters are there before the layers' backward adds its own to them."""
    return setup.kind == "adalora"


def waiting_gradients(items: Iterable[Item], setup: Setup) -> tuple[Buffer, ...]:
    """The gradients of the orthogonality term, from the start of backward on: whole, however they are kept later."""
    if not waits_for_layers(setup):
        return ()
    factors = [item for item in items if item.name.endswith((".lora_A", ".lora_B"))]
    num_bytes = sum(item.elements * ITEMSIZE[item.dtype] for item in factors)
    at = ("backward_head", *LAYERS_BACKWARD, *EMBEDDING)
    source = "PEFT 0.21 tuners/adalora/model.py AdaLoraModel.forward; torch 2.13 csrc/autograd/input_buffer.cpp"
    name, formula = "gradients of the orthogonality term", "elements of all A and B x bytes of their dtype"
    return (Buffer(name, "gradients", num_bytes, formula, {}, at, source, "exact", "backward_head"),)
