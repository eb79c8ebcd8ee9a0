"""Attention masks of the model's forward (transformers 5.23 masking_utils.py): which are materialised, and how large.

They are locals of the model's forward: alive while it runs, and as long as a checkpoint of a layer holds them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from planner.memory.head import causal_mask
from planner.memory.modules import Context
from planner.memory.structure import FULL, SLIDING


def sliding_mask(c: Context) -> None:
    """create_sliding_window_causal_mask: as the causal one, and for sdpa also where the sequence fills the window."""
    t, s = c.tape, c.structure
    if s.attention == "sdpa" and s.mask == "none" and s.window_mask:
        c.forward_only.append(t.allocate(("S", "S"), "bool", "attention mask"))
    else:
        causal_mask(c)


def one_mask(c: Context) -> None:
    """Models with one kind of layer (mistral, phi3, mixtral): a sliding mask where the config has a window."""
    if c.structure.block.sliding:
        sliding_mask(c)
    else:
        causal_mask(c)


def full_and_sliding_masks(c: Context, always: bool = False) -> None:
    """Models with layer_types: a causal mask, and a sliding one where a layer slides (gemma2, gemma3: always)."""
    block = c.structure.block
    with for_layers(c, FULL if block.full else ""):
        causal_mask(c)
    if always or block.sliding:
        with for_layers(c, SLIDING if block.sliding else ""):
            sliding_mask(c)


@contextmanager
def for_layers(c: Context, kind: str) -> Iterator[None]:
    """What is made in here is kept by layers of one kind only; by none where `kind` is empty."""
    before, count = c.tape.scope, len(c.forward_only)
    c.tape.scope = kind
    yield
    c.tape.scope = before
    if not kind:
        c.model_locals += c.forward_only[count:]
        del c.forward_only[count:]
