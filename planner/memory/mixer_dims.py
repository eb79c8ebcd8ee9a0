"""Symbols of mixers that are no attention over all tokens: widths of their states, and the sequence cut into chunks."""

from typing import Any

from planner.architecture.blocks import Attention, Block
from planner.memory.loops import pass_tokens, scans


def mixer_dims(block: Block) -> dict[str, Any]:
    """Of a block whose tokens are mixed by a recurrence; none of other blocks."""
    a = block.attention
    if a is None or not pass_tokens(block):
        return {}
    kernel = next(t.shape[-1] for t in block.tensors if t.name.endswith("conv1d.weight"))
    sizes = delta_dims(a) if a.kind == "linear" else scan_dims(block) if scans(block) else dual_dims(block, a)
    return {**sizes, "conv_kernel": kernel, "pass_tokens": pass_tokens(block)}


def delta_dims(a: Attention) -> dict[str, Any]:
    """Of a gated delta net."""
    keys, values = a.num_key_value_heads * a.head_dim, a.num_heads * a.v_head_dim
    return {
        "key_heads": a.num_key_value_heads,
        "value_heads": a.num_heads,
        "k_dim": a.head_dim,
        "v_dim": a.v_head_dim,
        "conv_width": 2 * keys + values,
        "qkvz_width": 2 * keys + 2 * values,
    }


def scan_dims(block: Block) -> dict[str, Any]:
    """Of Mamba's mixer."""
    inner, state = next(t.shape for t in block.tensors if t.name.endswith(".A_log"))
    linears = {linear.leaf: linear for linear in block.linears}
    return {
        "inner": inner,
        "state": state,
        "dt_rank": linears["dt_proj"].in_features,
        "x_width": linears["x_proj"].out_features,
    }


def dual_dims(block: Block, a: Attention) -> dict[str, Any]:
    """Of Mamba 2's mixer: B and C are as keys and queries, the heads' inputs as values."""
    inner = a.num_heads * a.v_head_dim
    return {
        "inner": inner,
        "groups": a.num_key_value_heads,
        "group_width": inner // a.num_key_value_heads,
        "conv_width": inner + 2 * a.num_key_value_heads * a.head_dim,
        "in_width": next(linear.out_features for linear in block.linears if linear.leaf == "in_proj"),
    }


def sequence_dims(dims: dict[str, Any], length: Any) -> dict[str, Any]:
    """What a length makes of a recurrence; none where the layer has none.

    conv_length: a causal convolution pads both ends. chunks_before: all but the two that are run on the tape;
    chunks_between: those without the first.
    """
    if "pass_tokens" not in dims:
        return {}
    chunks = -(-length // dims["pass_tokens"])
    return {
        "conv_length": length + dims["conv_kernel"] - 1,
        "chunks": chunks,
        "chunks_and_one": chunks + 1,
        "chunks_before": _at_least_0(chunks - 2),
        "chunks_between": _at_least_0(chunks - 3),
    }


def _at_least_0(number: Any) -> Any:
    return max(number, 0) if isinstance(number, int) else number.clip(min=0)
