"""Recurrences over the sequence: how many tokens one pass of the loop takes, and how many passes a length needs."""

from dataclasses import dataclass

from planner.architecture.blocks import Architecture, Block

#: Tokens of a chunk of the gated delta rule (transformers 5.23 torch_chunk_gated_delta_rule, chunk_size).
DELTA_CHUNK = 64

#: Lengths over which a structure changes, in passes: one, two, and three for all that are more.
MANY_PASSES = 3


@dataclass(frozen=True, slots=True)
class Loop:
    """What a length decides of the loops whose passes take so many tokens.

    passes: 1, 2, or 3 for all that are more. whole: the sequence is a multiple of tokens and needs no padding.
    """

    tokens: int
    passes: int
    whole: bool


def pass_tokens(block: Block) -> int:
    """Tokens that one pass of the block's recurrence takes; 0 where there is none."""
    if block.attention is None:
        return 0
    if block.attention.kind == "mamba":
        return 1 if scans(block) else block.attention.chunk_size
    return DELTA_CHUNK if block.attention.kind == "linear" else 0


def scans(block: Block) -> bool:
    """Mamba 1, with a decay for each channel and state, scans token by token; Mamba 2 takes all chunks at once."""
    return any(t.name.endswith(".A_log") and len(t.shape) == 2 for t in block.tensors)


def loop_of(tokens: int, length: int) -> Loop:
    """The loop over `length` tokens."""
    return Loop(tokens, min(-(-length // tokens), MANY_PASSES), length % tokens == 0)


def all_pass_tokens(architecture: Architecture) -> frozenset[int]:
    """Tokens of a pass, for every kind of recurrence in the model."""
    return frozenset(pass_tokens(block) for block in architecture.blocks) - {0}
