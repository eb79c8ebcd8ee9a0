"""Attention masks of the model's forward (transformers 5.23 masking_utils.py): which are materialised, and how large.

They are locals of the model's forward: alive while it runs, and as long as a checkpoint of a layer holds them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from planner.memory.head import causal_mask, cos_and_sin
from planner.memory.modules import Context
from planner.memory.structure import FULL, SLIDING


def sliding_mask(c: Context, chunked: bool = False) -> None:
    """create_sliding_window_causal_mask: as the causal one, and for sdpa also where the sequence fills the window.

    chunked: create_chunked_causal_mask, whose mask has the batch's size always: padding shifts chunks.
    """
    t, s = c.tape, c.structure
    if s.attention == "sdpa" and s.mask == "none" and s.window_mask:
        c.forward_only.append(t.allocate(("B", "S", "S") if chunked else ("S", "S"), "bool", "attention mask"))
    else:
        causal_mask(c)


def one_mask(c: Context) -> None:
    """Models with one kind of layer (mistral, phi3, mixtral): a sliding mask where the config has a window."""
    if c.structure.block.sliding:
        sliding_mask(c)
    else:
        causal_mask(c)


def full_and_sliding_masks(c: Context, always: bool = False, chunked: bool = False) -> None:
    """Models with layer_types: a causal mask, and a sliding one where a layer slides (gemma2, gemma3: always)."""
    block = c.structure.block
    with for_layers(c, FULL if block.full else ""):
        causal_mask(c)
    if always or block.sliding:
        with for_layers(c, SLIDING if block.sliding else ""):
            sliding_mask(c, chunked)


def masks_by_kind(c: Context, chunked: bool = False) -> None:
    """Models that make the masks of those kinds of layers alone that they have."""
    block = c.structure.block
    if block.full:
        with for_layers(c, FULL):
            causal_mask(c)
    if block.sliding:
        with for_layers(c, SLIDING):
            sliding_mask(c, chunked)


def tables_by_kind(c: Context, dtype: str | None = None, widths: Mapping[str, str] | None = None) -> None:
    """Position ids, and rotary tables for each kind of layer; widths: their symbols, where kinds differ in them."""
    c.forward_only.append(c.tape.allocate(("S",), "int64", "position ids"))
    block = c.structure.block
    for kind in [FULL] * block.full + [SLIDING] * block.sliding:
        with for_layers(c, kind):
            cos_and_sin(c, dtype, width=widths[kind] if widths else "rotary_dim")


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
