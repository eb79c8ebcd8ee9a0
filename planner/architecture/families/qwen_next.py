"""Qwen3-Next and the text models of Qwen3.5: three layers of gated delta rule for each layer of gated attention.

Defaults and shapes: transformers 5.23, models/{qwen3_next, qwen3_5, qwen3_5_moe}.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from planner.architecture.blocks import Attention, Linear, Tensor
from planner.architecture.config import Config
from planner.architecture.decoder import Layer, Mixer, Style, attend, decoder
from planner.architecture.experts import sparse_by_step
from planner.architecture.families.moe import STEPS, qwen2_moe_mlp
from planner.architecture.families.shared import ALL_BIAS, defaults, head_norms
from planner.architecture.parts import conv, rms_norm

TYPES = ("full_attention", "linear_attention")


def next_projections(hidden: int, keys: int, values: int, value_heads: int) -> tuple[Linear, ...]:
    return (
        Linear("linear_attn.in_proj_qkvz", 2 * keys + 2 * values, hidden),
        Linear("linear_attn.in_proj_ba", 2 * value_heads, hidden),
    )


def split_projections(hidden: int, keys: int, values: int, value_heads: int) -> tuple[Linear, ...]:
    return (
        Linear("linear_attn.in_proj_qkv", 2 * keys + values, hidden),
        Linear("linear_attn.in_proj_z", values, hidden),
        Linear("linear_attn.in_proj_b", value_heads, hidden),
        Linear("linear_attn.in_proj_a", value_heads, hidden),
    )


def delta_rule(c: Config, ins: Callable[[int, int, int, int], tuple[Linear, ...]]) -> Mixer:
    """Gated delta net: a depthwise convolution over q, k and v, then a linear-attention state per head."""
    hidden, key_dim, value_dim = c.size("hidden_size"), c.size("linear_key_head_dim"), c.size("linear_value_head_dim")
    key_heads, value_heads = c.size("linear_num_key_heads"), c.size("linear_num_value_heads")
    keys, values = key_heads * key_dim, value_heads * value_dim
    out = Linear("linear_attn.out_proj", hidden, values)
    tensors = (
        Tensor("linear_attn.dt_bias", (value_heads,)),
        Tensor("linear_attn.A_log", (value_heads,)),
        *conv("linear_attn.conv1d", (2 * keys + values, 1, c.size("linear_conv_kernel_dim"))),
        *rms_norm("linear_attn.norm", value_dim),
    )
    attention = Attention("linear", value_heads, key_heads, key_dim, value_dim, position="none")
    return Mixer((*ins(hidden, keys, values, value_heads), out), tensors, attention)


def next_mixer(c: Config, style: Style, layer: Layer) -> Mixer:
    return delta_rule(c, next_projections) if layer.linear else attend(c, style, layer)


def split_mixer(c: Config, style: Style, layer: Layer) -> Mixer:
    return delta_rule(c, split_projections) if layer.linear else attend(c, style, layer)


def interval_layers(c: Config, sparse: Sequence[bool]) -> Sequence[Layer]:
    """Full attention in each full_attention_interval-th layer, unless layer_types says otherwise."""
    num_layers, step = c.layers(), c.size("full_attention_interval")
    types = c.kinds("layer_types", num_layers, TYPES)
    every = [(i + 1) % step != 0 for i in range(num_layers)]
    linear = [kind == "linear_attention" for kind in types] if types else every
    return [Layer(sparse=experts, linear=delta) for experts, delta in zip(sparse, linear, strict=True)]


def next_layers(c: Config) -> Sequence[Layer]:
    return interval_layers(c, sparse_by_step(c))


def dense_layers(c: Config) -> Sequence[Layer]:
    return interval_layers(c, [False] * c.layers())


def sparse_layers(c: Config) -> Sequence[Layer]:
    return interval_layers(c, [True] * c.layers())


LINEAR: dict[str, Any] = {
    **{"head_dim": 256, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128, "linear_value_head_dim": 128},
    **{"linear_num_key_heads": 16, "linear_num_value_heads": 32, "full_attention_interval": 4},
}
GATED: dict[str, Any] = {
    **{"q_gate": True, "qk_norm": head_norms, "qk_norm_kind": "head", "partial_rotary": 0.25},
    **ALL_BIAS,
}
QWEN3_NEXT = Style(
    defaults=defaults(
        *(151936, 2048, 5632, 48, 16),
        num_key_value_heads=2,
        moe_intermediate_size=512,
        shared_expert_intermediate_size=512,
        num_experts=512,
        num_experts_per_tok=10,
        norm_topk_prob=True,
        **STEPS,
        **LINEAR,
    ),
    mixer=next_mixer,
    layers=next_layers,
    mlp=qwen2_moe_mlp,
    **GATED,
)
QWEN3_5_TEXT = Style(
    defaults=defaults(248320, 4096, 12288, 32, 16, num_key_value_heads=4, **LINEAR),
    mixer=split_mixer,
    layers=dense_layers,
    **GATED,
)
QWEN3_5_MOE_TEXT = Style(
    defaults=defaults(
        *(248320, 2048, 5632, 40, 16),
        num_key_value_heads=2,
        moe_intermediate_size=512,
        shared_expert_intermediate_size=512,
        num_experts=256,
        num_experts_per_tok=8,
        **LINEAR,
    ),
    mixer=split_mixer,
    layers=sparse_layers,
    mlp=qwen2_moe_mlp,
    **GATED,
)

READERS = {
    "qwen3_next": partial(decoder, style=QWEN3_NEXT),
    "qwen3_5_text": partial(decoder, style=QWEN3_5_TEXT),
    "qwen3_5_moe_text": partial(decoder, style=QWEN3_5_MOE_TEXT),
}
