"""Attention masks of the model's forward (transformers 5.23 masking_utils.py): which are materialised, and how large.

They are locals of the model's forward: alive while it runs, and as long as a checkpoint holds them.
"""

from planner.memory.head import causal_mask
from planner.memory.modules import Context

__all__ = ["causal_mask", "full_and_sliding_masks", "one_mask", "sliding_mask"]


def sliding_mask(c: Context) -> None:
    """create_sliding_window_causal_mask: as the causal one, and for sdpa also where the sequence fills the window."""
    t, s = c.tape, c.structure
    if s.attention == "sdpa" and s.mask == "none" and s.window_mask:
        c.forward_only.append(t.allocate(("S", "S"), "bool", "sliding mask"))
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
    causal_mask(c)
    if always or c.structure.block.sliding:
        sliding_mask(c)
