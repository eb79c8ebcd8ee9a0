"""Vision towers of the vision-language models: CLIP, SigLIP, Pixtral and Qwen's.

Defaults and shapes: transformers 5.23, models/{clip, siglip, pixtral, qwen2_vl, qwen2_5_vl, qwen3_vl, qwen3_5}.
"""

from typing import Any, Literal

from planner.architecture.blocks import Attention, Block, Linear, Mlp, Tensor
from planner.architecture.config import Config
from planner.architecture.parts import (
    Body,
    Heads,
    conv,
    gated_mlp,
    grouped,
    heads_of,
    joined,
    layer_norm,
    plain_mlp,
    positions,
    rms_norm,
    rotary,
)

CLIP_DEFAULTS: dict[str, Any] = {
    **{"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    **{"num_channels": 3, "image_size": 224, "patch_size": 32, "hidden_act": "quick_gelu", "attention_dropout": 0.0},
}
SIGLIP_DEFAULTS: dict[str, Any] = {
    **CLIP_DEFAULTS,
    **{"patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "vision_use_head": True},
}
PIXTRAL_DEFAULTS: dict[str, Any] = {
    **{"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
    **{"num_channels": 3, "image_size": 1024, "patch_size": 16, "hidden_act": "gelu", "attention_dropout": 0.0},
}
QWEN_ALIASES = {"num_attention_heads": "num_heads", "num_hidden_layers": "depth"}
QWEN2_DEFAULTS: dict[str, Any] = {
    **{"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "hidden_act": "quick_gelu", "mlp_ratio": 4},
    **{"num_heads": 16, "in_channels": 3, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2},
}
QWEN2_5_DEFAULTS: dict[str, Any] = {
    **QWEN2_DEFAULTS,
    **{"hidden_act": "silu", "intermediate_size": 3420, "out_hidden_size": 3584},
}
QWEN3_DEFAULTS: dict[str, Any] = {
    **{"depth": 27, "hidden_size": 1152, "hidden_act": "gelu_pytorch_tanh", "intermediate_size": 4304},
    **{"num_heads": 16, "in_channels": 3, "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2},
    **{"out_hidden_size": 3584, "num_position_embeddings": 2304, "deepstack_visual_indexes": [8, 16, 24]},
}


def encoder_block(
    sizes: Heads,
    linears: tuple[Linear, ...],
    tensors: tuple[Tensor, ...],
    mlp: Mlp,
    *,
    norm: Literal["rms", "layer"] = "layer",
    position: Literal["learned", "rope"] = "learned",
    rotated: int = 0,
    fused: bool = False,
    dropout: float = 0.0,
) -> Block:
    """A layer that attends both ways; grouped() puts prefix and indices in."""
    attention = Attention(
        kind="bidirectional",
        num_heads=sizes.heads,
        num_key_value_heads=sizes.kv_heads,
        head_dim=sizes.head_dim,
        v_head_dim=sizes.head_dim,
        fused="qkv" if fused else "none",
        position=position,
        rotary_dim=rotated,
        dropout=dropout,
    )
    return Block("", (), linears, tensors, attention, mlp, norm)


def tower_sizes(c: Config, heads: str = "num_attention_heads", hidden: str = "hidden_size") -> Heads:
    return heads_of(c, hidden, heads, None, None)


def patch_count(c: Config) -> int:
    return max(1, c.size("image_size") // c.size("patch_size")) ** 2


def clip_block(c: Config, sizes: Heads) -> Block:
    """CLIP and SigLIP: four projections with biases, two norms, fc1 and fc2."""
    hidden, inner = sizes.hidden, c.size("intermediate_size")
    names = ("k_proj", "v_proj", "q_proj", "out_proj")
    linears = tuple(Linear(f"self_attn.{name}", hidden, hidden, True) for name in names)
    return encoder_block(
        sizes,
        linears + plain_mlp("mlp.fc1", "mlp.fc2", hidden, inner),
        layer_norm("layer_norm1", hidden) + layer_norm("layer_norm2", hidden),
        Mlp(inner, False, c.text("hidden_act")),
        dropout=c.share("attention_dropout"),
    )


def clip(c: Config, root: str) -> Body:
    """A class token before the patches; pre_layrnorm is spelled so in transformers."""
    sizes = tower_sizes(c)
    hidden, patch, count = sizes.hidden, c.size("patch_size"), patch_count(c) + 1
    return Body(
        blocks=grouped(f"{root}.encoder.layers", [0] * c.layers(), lambda _: clip_block(c, sizes)),
        tensors=(
            Tensor(f"{root}.embeddings.class_embedding", (hidden,), "embedding"),
            *conv(f"{root}.embeddings.patch_embedding", (hidden, c.size("num_channels"), patch, patch)),
            *positions(f"{root}.embeddings.position_embedding", count, hidden),
            *layer_norm(f"{root}.pre_layrnorm", hidden),
            *layer_norm(f"{root}.post_layernorm", hidden),
        ),
        buffers=(Tensor(f"{root}.embeddings.position_ids", (1, count), dtype="int64"),),
    )


def siglip_head(c: Config, root: str, hidden: int) -> Body:
    """Attention pooling; its out_proj is a NonDynamicallyQuantizableLinear, its in_proj no module at all."""
    linears = (Linear(f"{root}.attention.out_proj", hidden, hidden, True, "subclass"),)
    return Body(
        tensors=(
            Tensor(f"{root}.probe", (1, 1, hidden)),
            Tensor(f"{root}.attention.in_proj_weight", (3 * hidden, hidden)),
            Tensor(f"{root}.attention.in_proj_bias", (3 * hidden,)),
            *layer_norm(f"{root}.layernorm", hidden),
        ),
        linears=linears + plain_mlp(f"{root}.mlp.fc1", f"{root}.mlp.fc2", hidden, c.size("intermediate_size")),
    )


def siglip(c: Config, root: str) -> Body:
    sizes = tower_sizes(c)
    hidden, patch, count = sizes.hidden, c.size("patch_size"), patch_count(c)
    body = Body(
        blocks=grouped(f"{root}.encoder.layers", [0] * c.layers(), lambda _: clip_block(c, sizes)),
        tensors=conv(f"{root}.embeddings.patch_embedding", (hidden, c.size("num_channels"), patch, patch), True)
        + positions(f"{root}.embeddings.position_embedding", count, hidden)
        + layer_norm(f"{root}.post_layernorm", hidden),
        buffers=(Tensor(f"{root}.embeddings.position_ids", (1, count), dtype="int64"),),
    )
    return joined(body, siglip_head(c, f"{root}.head", hidden)) if c.flag("vision_use_head") else body


def pixtral(c: Config, root: str) -> Body:
    """Llama-shaped layers with RMSNorm and rotary positions."""
    sizes = tower_sizes(c)
    hidden, patch, inner = sizes.hidden, c.size("patch_size"), c.size("intermediate_size")
    names = ("k_proj", "v_proj", "q_proj", "o_proj")
    block = encoder_block(
        sizes,
        tuple(Linear(f"attention.{name}", hidden, hidden) for name in names) + gated_mlp("feed_forward", hidden, inner),
        rms_norm("attention_norm", hidden) + rms_norm("ffn_norm", hidden),
        Mlp(inner, True, c.text("hidden_act")),
        norm="rms",
        position="rope",
        rotated=sizes.head_dim,
        dropout=c.share("attention_dropout"),
    )
    return Body(
        blocks=grouped(f"{root}.transformer.layers", [0] * c.layers(), lambda _: block),
        tensors=conv(f"{root}.patch_conv", (hidden, c.size("num_channels"), patch, patch))
        + rms_norm(f"{root}.ln_pre", hidden),
        buffers=rotary(f"{root}.patch_positional_embedding", c.optional_size("head_dim") or sizes.head_dim),
    )


def qwen_patches(c: Config, root: str, hidden: int, bias: bool) -> tuple[Tensor, ...]:
    patch = c.size("patch_size")
    shape = (hidden, c.size("in_channels"), c.size("temporal_patch_size"), patch, patch)
    return conv(f"{root}.patch_embed.proj", shape, bias)


def qwen_attention(hidden: int) -> tuple[Linear, ...]:
    return (Linear("attn.qkv", 3 * hidden, hidden, True), Linear("attn.proj", hidden, hidden, True))


def qwen_merger(c: Config, root: str, hidden: int, out: int, first: str, second: str) -> tuple[Linear, ...]:
    """Merges spatial_merge_size squared patches into one token of the text model."""
    merged = hidden * c.size("spatial_merge_size") ** 2
    return (Linear(f"{root}.{first}", merged, merged, True), Linear(f"{root}.{second}", out, merged, True))


def qwen2(c: Config, root: str) -> Body:
    """Qwen2-VL: LayerNorm, a plain MLP mlp_ratio times as wide."""
    sizes = tower_sizes(c, "num_heads", "embed_dim")
    hidden = sizes.hidden
    inner = hidden * c.size("mlp_ratio")
    block = encoder_block(
        sizes,
        qwen_attention(hidden) + plain_mlp("mlp.fc1", "mlp.fc2", hidden, inner),
        layer_norm("norm1", hidden) + layer_norm("norm2", hidden),
        Mlp(inner, False, c.text("hidden_act")),
        position="rope",
        rotated=sizes.head_dim,
        fused=True,
    )
    return Body(
        blocks=grouped(f"{root}.blocks", [0] * c.layers("depth"), lambda _: block),
        tensors=qwen_patches(c, root, hidden, False) + layer_norm(f"{root}.merger.ln_q", hidden),
        linears=qwen_merger(c, f"{root}.merger", hidden, c.size("hidden_size"), "mlp.0", "mlp.2"),
        buffers=rotary(f"{root}.rotary_pos_emb", sizes.head_dim // 2),
    )


def qwen2_5(c: Config, root: str) -> Body:
    """Qwen2.5-VL: RMSNorm, a gated MLP with biases."""
    sizes = tower_sizes(c, "num_heads")
    hidden, inner = sizes.hidden, c.size("intermediate_size")
    block = encoder_block(
        sizes,
        qwen_attention(hidden) + gated_mlp("mlp", hidden, inner, bias=True),
        rms_norm("norm1", hidden) + rms_norm("norm2", hidden),
        Mlp(inner, True, c.text("hidden_act")),
        norm="rms",
        position="rope",
        rotated=sizes.head_dim,
        fused=True,
    )
    return Body(
        blocks=grouped(f"{root}.blocks", [0] * c.layers("depth"), lambda _: block),
        tensors=qwen_patches(c, root, hidden, False) + rms_norm(f"{root}.merger.ln_q", hidden),
        linears=qwen_merger(c, f"{root}.merger", hidden, c.size("out_hidden_size"), "mlp.0", "mlp.2"),
        buffers=rotary(f"{root}.rotary_pos_emb", sizes.head_dim // 2),
    )


def qwen3(c: Config, root: str, deepstack: bool = True) -> Body:
    """Qwen3-VL and Qwen3.5: learned positions besides the rotary ones; mergers for the layers of deepstack."""
    sizes = tower_sizes(c, "num_heads")
    hidden, inner, out = sizes.hidden, c.size("intermediate_size"), c.size("out_hidden_size")
    merged = hidden * c.size("spatial_merge_size") ** 2
    block = encoder_block(
        sizes,
        qwen_attention(hidden) + plain_mlp("mlp.linear_fc1", "mlp.linear_fc2", hidden, inner),
        layer_norm("norm1", hidden) + layer_norm("norm2", hidden),
        Mlp(inner, False, c.text("hidden_act")),
        position="rope",
        rotated=sizes.head_dim,
        fused=True,
    )
    count = len(c.integers("deepstack_visual_indexes")) if deepstack else 0
    extra = [f"{root}.deepstack_merger_list.{i}" for i in range(count)]
    mergers = [f"{root}.merger", *extra]
    return Body(
        blocks=grouped(f"{root}.blocks", [0] * c.layers("depth"), lambda _: block),
        tensors=qwen_patches(c, root, hidden, True)
        + positions(f"{root}.pos_embed", c.size("num_position_embeddings"), hidden)
        + layer_norm(f"{root}.merger.norm", hidden)
        + tuple(t for name in extra for t in layer_norm(f"{name}.norm", merged)),
        linears=tuple(x for m in mergers for x in qwen_merger(c, m, hidden, out, "linear_fc1", "linear_fc2")),
        buffers=rotary(f"{root}.rotary_pos_emb", sizes.head_dim // 2),
    )
